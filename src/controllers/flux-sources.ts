/** What Flux's source controller keeps, as far as it is read: the artifact that each object's status names. */
import { z } from 'zod'
import type { KubeObject } from '../api/meta.ts'
import type { ResourceType } from '../kube/client.ts'

export type FluxKind = 'GitRepository' | 'OCIRepository'
export const fluxKinds: readonly FluxKind[] = ['GitRepository', 'OCIRepository']

export interface FluxArtifact {
  readonly url: string
  /** `sha256:<hex>` of the tar.gz behind the URL. */
  readonly digest: string
  /** `main@sha1:<commit>` and the like. */
  readonly revision: string
}

export interface FluxStatus {
  readonly artifact?: FluxArtifact
  /** Message of its Ready condition, while that is not True. */
  readonly trouble?: string
}

export type FluxSource = KubeObject<undefined, FluxStatus>

const artifact = z.object({
  url: z.string().max(2048),
  digest: z.string().max(256),
  revision: z.string().max(253),
})
const status = z.object({
  artifact: artifact.optional().catch(undefined),
  conditions: z.array(z.object({ type: z.string(), status: z.string(), message: z.string() })).catch([]),
})

/** Others own these kinds: what does not look like an artifact is none, and never keeps the object out. */
function parse(raw: unknown): FluxSource {
  const object = raw as Omit<FluxSource, 'status'> & { status?: unknown }
  const read = status.safeParse(object.status ?? {})
  const ready = read.data?.conditions.find(({ type }) => type === 'Ready')
  const found: FluxStatus = {
    ...(read.data?.artifact && { artifact: read.data.artifact }),
    ...(ready && ready.status !== 'True' && { trouble: ready.message }),
  }
  return { ...object, spec: undefined, status: found }
}

const typeOf = (kind: FluxKind, plural: string): ResourceType<FluxSource> => ({
  group: 'source.toolkit.fluxcd.io',
  version: 'v1',
  kind,
  plural,
  namespaced: true,
  parse,
})

export const fluxTypes: Readonly<Record<FluxKind, ResourceType<FluxSource>>> = {
  GitRepository: typeOf('GitRepository', 'gitrepositories'),
  OCIRepository: typeOf('OCIRepository', 'ocirepositories'),
}
