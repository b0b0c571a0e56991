/** A collector of traces: takes OTLP as JSON over HTTP, and keeps the spans. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { z } from 'zod'

export interface CollectedSpan {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly links: readonly string[]
  /** What went wrong, where it did. */
  readonly error: string | undefined
  readonly service: unknown
}

export interface Collector {
  /** As OTEL_EXPORTER_OTLP_ENDPOINT takes it. */
  readonly url: string
  readonly spans: readonly CollectedSpan[]
  named(name: string): readonly CollectedSpan[]
  close(): Promise<void>
}

const attributes = z
  .array(z.object({ key: z.string(), value: z.record(z.string(), z.unknown()) }))
  .transform((list) => Object.fromEntries(list.map(({ key, value }) => [key, Object.values(value)[0]])))
const span = z.object({
  name: z.string(),
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().default(''),
  attributes,
  links: z.array(z.object({ spanId: z.string() })).default([]),
  status: z.object({ code: z.number().optional(), message: z.string().optional() }).default({}),
})
const request = z.object({
  resourceSpans: z.array(
    z.object({ resource: z.object({ attributes }), scopeSpans: z.array(z.object({ spans: z.array(span) })) }),
  ),
})

export async function startCollector(): Promise<Collector> {
  const spans: CollectedSpan[] = []
  const server = createServer((incoming, response) => {
    const take = (body: unknown) => {
      if (incoming.url !== '/v1/traces') return response.writeHead(404).end()
      for (const { resource, scopeSpans } of request.parse(body).resourceSpans)
        for (const { status, links, ...found } of scopeSpans.flatMap((scope) => scope.spans))
          spans.push({
            ...found,
            links: links.map(({ spanId }) => spanId),
            error: status.code === 2 ? (status.message ?? '') : undefined,
            service: resource.attributes['service.name'],
          })
      return response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    }
    // Whoever breaks off in the middle, as a stop may, has sent nothing.
    json(incoming).then(take, () => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    spans,
    named: (name) => spans.filter((each) => each.name === name),
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
