/** One JSON-RPC 2.0 request of A2A, brought into its full form. Pure. */
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { jsonObject, parse } from './body.ts'

const envelope = z.looseObject({
  jsonrpc: z.literal('2.0').default('2.0'),
  id: z.union([z.string(), z.number(), z.null()]).default(() => randomUUID()),
  method: z.string().min(1).max(128),
  params: z.union([z.record(z.string(), z.unknown()), z.array(z.unknown())]).optional(),
})

export type RpcRequest = z.output<typeof envelope>

/** Fills in `jsonrpc` and `id` where a caller left them out. Batches and anything else that is no request: a 400. */
export const rpcRequest = (body: unknown): RpcRequest => parse(envelope, parse(jsonObject, body))
