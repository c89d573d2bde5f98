"""Storage of all data: SQLite for one process, PostgreSQL for many.

`Database.read(work)` is a whole read; `Database.write(work)` is a write that is either committed
or has not happened. Differences between the two databases are in `sqlite` and `postgresql`, one
file each. The features' statements are the same for both, with `any_of` for membership, `Query`
for frequent statements, `page_of` for pages of a list, and `BulkInsert`/`BulkUpdate` for many rows
at once. With `SharedRead` simultaneous requests share one read, `Sweep` runs a batch that one bad
row cannot stop, and `TableCopy` copies a table to another database.
"""

from domain.storage.bulk import BulkInsert, BulkUpdate, ManyRows, any_of
from domain.storage.damage import REMEDY, damage_of, require_whole
from domain.storage.database import Database
from domain.storage.driven import TransactionWork
from domain.storage.files import FileLock, make_private, real_file, require_one_home, sidecars
from domain.storage.grouping import Grouped
from domain.storage.keyset import page_of
from domain.storage.libpq import UrlWordError
from domain.storage.outages import is_unavailable, patiently, trouble_of
from domain.storage.postgresql import Bounds, Server
from domain.storage.query import Query
from domain.storage.replacing import decide, finish, sync_file, sync_folder
from domain.storage.sharing import SharedRead
from domain.storage.sqlite import database_file, trim_log
from domain.storage.sweeping import Sweep
from domain.storage.table_copy import Contents, TableCopy, finish_tables, is_empty, keep_still
from domain.storage.tables import (
    FILLED_BY_MIGRATIONS,
    AnyRow,
    Bytewise,
    Id,
    Micros,
    data_tables,
    is_known,
    metadata,
    one_of,
)
from domain.storage.urls import DRIVERS, database_url, hosts_of

__all__ = [
    "DRIVERS",
    "FILLED_BY_MIGRATIONS",
    "REMEDY",
    "AnyRow",
    "Bounds",
    "BulkInsert",
    "BulkUpdate",
    "Bytewise",
    "Contents",
    "Database",
    "FileLock",
    "Grouped",
    "Id",
    "ManyRows",
    "Micros",
    "Query",
    "Server",
    "SharedRead",
    "Sweep",
    "TableCopy",
    "TransactionWork",
    "UrlWordError",
    "any_of",
    "damage_of",
    "data_tables",
    "database_file",
    "database_url",
    "decide",
    "finish",
    "finish_tables",
    "hosts_of",
    "is_empty",
    "is_known",
    "is_unavailable",
    "keep_still",
    "make_private",
    "metadata",
    "one_of",
    "page_of",
    "patiently",
    "real_file",
    "require_one_home",
    "require_whole",
    "sidecars",
    "sync_file",
    "sync_folder",
    "trim_log",
    "trouble_of",
]
