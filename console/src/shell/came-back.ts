let isBack = false;

addEventListener('popstate', () => {
  isBack = true;
});
for (const event of ['pushState', 'replaceState']) {
  // The router announces both.
  addEventListener(event, () => {
    isBack = false;
  });
}

/** Whether the page that is shown was reached by the browser's Back or Forward. */
export function hasComeBack(): boolean {
  return isBack;
}
