/** A text, or an element with what is in it. `href`: of a link. */
export type Child = string | { readonly tag: string; readonly children: Child[]; readonly href?: string };

export interface Section {
  readonly title: string;
  /** The anchor that alerts and incidents name. */
  readonly id: string;
  readonly body: Child[];
}

/** docs/runbooks.md; console/runbooks.ts reads it when the console is built. */
export interface Runbooks {
  readonly lead: Child[];
  readonly groups: {
    readonly title: string;
    readonly id: string;
    readonly lead: Child[];
    readonly sections: Section[];
  }[];
}
