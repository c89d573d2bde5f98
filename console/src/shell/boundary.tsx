import { Component, type ReactNode } from 'react';
import { Banner } from '../pieces/notices';

interface Props {
  /** Where the view is: another place is tried anew. */
  readonly path: string;
  readonly children: ReactNode;
}

interface State {
  readonly fault: Error | null;
  readonly path: string;
}

/** Keeps a view that cannot be drawn from taking the bar and the other views along. */
export class Boundary extends Component<Props, State> {
  override state: State = { fault: null, path: this.props.path };

  static getDerivedStateFromError(error: unknown): Partial<State> {
    return { fault: error instanceof Error ? error : new Error(String(error)) };
  }

  static getDerivedStateFromProps({ path }: Props, state: State): State | null {
    return path === state.path ? null : { fault: null, path };
  }

  override render(): ReactNode {
    const { fault } = this.state;
    if (fault === null) return this.props.children;
    return (
      <Banner
        tone="error"
        title="This page cannot be drawn."
        action={
          <button type="button" className="btn small" onClick={() => this.setState({ fault: null })}>
            Try again
          </button>
        }
      >
        The other pages work. The browser’s console has the details: {fault.message}
      </Banner>
    );
  }
}
