import { useSyncExternalStore } from 'react';
import type { Lie } from './keys';

/** As aircraft.css has it: on a phone it stands nose up. */
const narrow = matchMedia('(max-width: 719px)');

export function useLie(): Lie {
  return useSyncExternalStore(subscribe, () => (narrow.matches ? 'up' : 'left'));
}

function subscribe(onChange: () => void): () => void {
  narrow.addEventListener('change', onChange);
  return () => narrow.removeEventListener('change', onChange);
}
