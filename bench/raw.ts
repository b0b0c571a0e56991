/** The physical bounds: what the API server itself does with an operator's writes when nothing else is asked of it. */
import { apiVersion } from '../src/api/meta.ts'
import { type Api, namespace } from './api.ts'
import type { BackendName } from './options.ts'

/** The Fake has no name in the API: it comes by the operator's DEFAULT_BACKEND. */
export function manifest(name: string, backend: BackendName): object {
  return {
    apiVersion,
    kind: 'Workspace',
    metadata: { name, namespace },
    spec: {
      displayName: `Agent ${name}`,
      role: 'Answers questions about the quarter and keeps the ledger in order',
      tier: 2,
      ...(backend !== 'fake' && { backend }),
    },
  }
}

export const nameOf = (i: number): string => `ws-${String(i).padStart(5, '0')}`

const since = '2030-01-01T00:00:00Z'
const conditions = ['Ready', 'Recorded', 'RuntimeResolved', 'Launched', 'Connected'].map((type) => ({
  type,
  status: 'True',
  reason: 'AwaitingAgent',
  message: 'the agent has not registered yet',
  lastTransitionTime: since,
}))

/** A status of the size that an operator writes first. */
const firstStatus = {
  observedGeneration: 1,
  phase: 'awaiting_agent',
  workspaceID: '00000000-0000-4000-8000-000000000000',
  summary: 'Waiting for the agent to register',
  conditions,
  history: [{ time: since, from: '', to: 'awaiting_agent', reason: 'Recorded', actor: 'operator' }],
}

/** Runs `count` turns of `body`, `width` of them at once. Gives the seconds it took. */
export async function loop(count: number, width: number, body: (i: number) => Promise<void>): Promise<number> {
  const begun = performance.now()
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) await body(next++)
  }
  await Promise.all(Array.from({ length: Math.min(width, count) }, worker))
  return (performance.now() - begun) / 1000
}

/** Makes `count` objects, 32 at once. Seconds. */
export const createObjects = (api: Api, count: number, backend: BackendName): Promise<number> =>
  loop(count, 32, (i) => api.create(manifest(nameOf(i), backend)))

/** Gives each of the first `count` the status an operator would: what an edit costs the API server grows with the object. */
export const describeObjects = (api: Api, count: number): Promise<number> =>
  loop(count, 32, (i) => api.patchStatus(nameOf(i), firstStatus))

/** N × (POST + status PATCH): the least that a burst of creates can cost. Seconds. */
export const burst = (api: Api, count: number): Promise<number> =>
  loop(count, 32, async (i) => {
    await api.create(manifest(nameOf(i), 'external'))
    await api.patchStatus(nameOf(i), firstStatus)
  })

/** Pairs of spec patch and status patch, `width` at once on as many objects. Pairs a second. */
export async function pairs(api: Api, count: number, width: number): Promise<number> {
  const took = await loop(count, width, async (i) => {
    const name = nameOf(i % width)
    const observedGeneration = await api.edit(name, `Agent ${i}`)
    await api.patchStatus(name, { observedGeneration })
  })
  return count / took
}

/** The median time of a spec patch and a status patch, one after the other on an idle server. Milliseconds. */
export async function roundTrip(api: Api, count: number): Promise<number> {
  const times: number[] = []
  await loop(count, 1, async (i) => {
    const begun = performance.now()
    const observedGeneration = await api.edit(nameOf(0), `Agent at rest ${i}`)
    await api.patchStatus(nameOf(0), { observedGeneration })
    times.push(performance.now() - begun)
  })
  return quantile(times, 0.5)
}

/** A paged list of everything, parsed. Seconds. */
export async function list(api: Api): Promise<number> {
  const begun = performance.now()
  await api.list()
  return (performance.now() - begun) / 1000
}

/** The q-th quantile by linear interpolation; NaN of nothing. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const place = (sorted.length - 1) * q
  const low = sorted[Math.floor(place)] ?? NaN
  const high = sorted[Math.ceil(place)] ?? NaN
  return low + (high - low) * (place - Math.floor(place))
}
