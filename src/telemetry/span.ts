/** The words of traces: types alone, so that nobody needs their library to speak of them. */

/** What there are spans of. */
export type SpanName = 'pass' | 'api request' | 'sql batch' | 'backend call' | 'platform request'
export type Attributes = Readonly<Record<string, string | number | boolean>>

declare const linkBrand: unique symbol
/** The span that was active somewhere, to be named by another that works for it. */
export type SpanLink = object & { readonly [linkBrand]: true }

export interface Span {
  set(attributes: Attributes): void
}

/** A span whose end is elsewhere than its beginning. */
export interface OpenSpan {
  /** Runs `work`, and all that follows from it, inside the span. */
  within(work: () => void): void
  end(attributes: Attributes): void
}

export interface Tracing {
  span<T>(name: SpanName, details: SpanDetails<T>, work: (span: Span) => Promise<T>): Promise<T>
  open(name: SpanName, attributes: Attributes): OpenSpan
  here(): SpanLink | undefined
  close(): Promise<void>
}

/** Asked only while traces are on. */
export interface SpanDetails<T> {
  /** What is known at the beginning. Never a secret: no bodies, no values. */
  readonly attributes: () => Attributes
  /** What the result tells. */
  readonly ended?: (result: T) => Attributes
  /** Makes it the root of a trace of its own: it works for all of these at once. */
  readonly links?: () => readonly SpanLink[]
}

export interface TracingOptions {
  /** Of the collector, without `/v1/traces`. */
  readonly endpoint: string
  /** Share of traces that are kept, 0 to 1. */
  readonly ratio: number
  /** Of the operator. */
  readonly version?: string
}
