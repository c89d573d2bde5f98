// Runs before anything is drawn. The key and its values are those of shell/theme.ts.
(function () {
  try {
    var kept = localStorage.getItem('seatsaga.theme');
    if (kept === 'light' || kept === 'dark') document.documentElement.dataset.theme = kept;
  } catch {
    // Storage may be closed to us; then the system decides.
  }
})();
