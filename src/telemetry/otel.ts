/** Tracing by the OpenTelemetry SDK, sent by OTLP over HTTP. Loaded only where traces are on: it costs memory. */
import { setTimeout as sleep } from 'node:timers/promises'
import { context, ROOT_CONTEXT, SpanStatusCode, trace, type Context, type Span as OtelSpan } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import { seconds } from '../duration.ts'
import type { SpanDetails, SpanLink, SpanName, Tracing, TracingOptions } from './span.ts'

export function createTracing({ endpoint, ratio, version }: TracingOptions): Tracing {
  const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/+$/, '')}/v1/traces` })
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': 'molecule-operator',
      ...(version !== undefined && { 'service.version': version }),
    }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
    // What is over this is dropped: a collector that is away must not fill the memory.
    spanProcessors: [new BatchSpanProcessor({ exporter, maxQueueSize: 8192, scheduledDelayMillis: 2000 })],
  })
  const manager = new AsyncLocalStorageContextManager().enable()
  context.setGlobalContextManager(manager)
  const tracer = provider.getTracer('molecule-operator')

  function begin(name: SpanName, attributes: object, links?: readonly SpanLink[]): { span: OtelSpan; inside: Context } {
    const parent = links === undefined ? context.active() : ROOT_CONTEXT
    const linked = links?.flatMap((link) => trace.getSpanContext(link as unknown as Context) ?? [])
    const span = tracer.startSpan(
      name,
      { attributes: { ...attributes }, ...(linked && { links: linked.map((each) => ({ context: each })) }) },
      parent,
    )
    return { span, inside: trace.setSpan(parent, span) }
  }

  return {
    async span<T>(
      name: SpanName,
      { attributes, ended, links }: SpanDetails<T>,
      work: (span: { set(more: object): void }) => Promise<T>,
    ): Promise<T> {
      const { span, inside } = begin(name, attributes(), links?.())
      try {
        const set = (more: object) => void span.setAttributes({ ...more })
        const result = await context.with(inside, () => work({ set }))
        if (ended) set(ended(result))
        return result
      } catch (error) {
        span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.name : 'thrown' })
        throw error
      } finally {
        span.end()
      }
    },
    open(name, attributes) {
      const { span, inside } = begin(name, attributes)
      return {
        within: (work) => context.with(inside, work),
        end(more) {
          span.setAttributes({ ...more })
          span.end()
        },
      }
    },
    here() {
      const active = context.active()
      return trace.getSpanContext(active) && (active as unknown as SpanLink)
    },
    async close() {
      // The last spans are worth a moment, not a hanging shutdown: the exporter alone would retry for long.
      const sent = provider.shutdown().catch(() => undefined)
      await Promise.race([sent, sleep(seconds(2), undefined, { ref: false })])
      manager.disable()
      context.disable()
    },
  }
}
