/**
 * Traces, off unless `startTracing` was called. Off costs a comparison a span: no library is loaded, no context is
 * followed. On, otel.ts does the work.
 */
import type { Attributes, OpenSpan, Span, SpanDetails, SpanLink, SpanName, Tracing, TracingOptions } from './span.ts'

let tracing: Tracing | undefined
const silent: Span = { set: () => undefined }

/** Runs the work inside a span, of which all spans of the work become children. A throw is told by the span, too. */
export function traced<T>(name: SpanName, details: SpanDetails<T>, work: (span: Span) => Promise<T>): Promise<T> {
  return tracing === undefined ? work(silent) : tracing.span(name, details, work)
}

/** Undefined while traces are off. */
export const openSpan = (name: SpanName, attributes: () => Attributes): OpenSpan | undefined =>
  tracing?.open(name, attributes())

export const here = (): SpanLink | undefined => tracing?.here()

export const isTracing = (): boolean => tracing !== undefined

/** Turns traces on for the whole process; gives what sends the rest and turns them off. */
export async function startTracing(options: TracingOptions): Promise<() => Promise<void>> {
  const { createTracing } = await import('./otel.ts')
  const started = createTracing(options)
  tracing = started
  return async () => {
    if (tracing === started) tracing = undefined
    await started.close()
  }
}
