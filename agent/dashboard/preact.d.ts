/** What the page uses of htm 3.1.1, htm/preact/standalone, which is served as preact.js. */

export interface VNode {
  readonly type: unknown;
}

export type Children = VNode | string | number | boolean | null | undefined | readonly Children[];

export function html(strings: TemplateStringsArray, ...values: unknown[]): VNode;
export function render(tree: VNode, parent: Element): void;
export function useState<T>(initial: T | (() => T)): [T, (next: T | ((before: T) => T)) => void];
export function useEffect(effect: () => (() => void) | undefined, inputs?: readonly unknown[]): void;
export function useLayoutEffect(effect: () => (() => void) | undefined, inputs?: readonly unknown[]): void;
export function useMemo<T>(make: () => T, inputs: readonly unknown[]): T;
export function useRef<T>(initial: T): { current: T };
