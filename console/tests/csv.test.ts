import { describe, expect, test } from 'vitest';
import { cell, csvOf } from '../src/views/sagas/csv';

describe('cell', () => {
  test.each(['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', ' =1'])('%j cannot be run by a spreadsheet', (value) => {
    expect(cell(value).replace(/^"/, '').startsWith("'")).toBe(true);
  });

  test('what would end a cell is quoted', () => {
    expect(cell('a "b", c')).toBe('"a ""b"", c"');
    expect(cell('a\nb')).toBe('"a\nb"');
  });

  test('all else stays as it is', () => {
    expect(cell('SS101 ZRH LHR')).toBe('SS101 ZRH LHR');
  });
});

test('a spreadsheet is told that the file is UTF-8', () => {
  expect(csvOf([])).toMatch(/^\ufeffcorrelationId,.*\r\n$/);
});
