/** How a kind is told to the machine: its names on the wire, what a person sees of it, and `parse`. */
import type { z } from 'zod'
import type { CommonStatus, KubeObject } from './meta.ts'
import { statusFitter } from './fit.ts'
import { apiVersion, group, version } from './meta.ts'

export interface PrinterColumn {
  readonly name: string
  readonly type: 'string' | 'integer' | 'date' | 'boolean'
  readonly jsonPath: string
  readonly description: string
  /** 1 shows it only with `-o wide`. */
  readonly priority?: 0 | 1
}

/** A rule on the whole object: only there can CEL see metadata.name. */
export interface RootRule {
  readonly rule: string
  readonly message: string
  readonly fieldPath?: string
}

/** All that the CRD and the docs say of a kind beside its fields. */
export interface KindDefinition {
  readonly kind: string
  readonly plural: string
  readonly singular: string
  readonly shortNames: readonly string[]
  readonly namespaced: boolean
  readonly description: string
  readonly spec: z.ZodObject
  readonly status: z.ZodObject
  readonly columns: readonly PrinterColumn[]
  readonly rootRules: readonly RootRule[]
  /** Longest metadata.name. */
  readonly nameLength: number
  /** The fields no controller acts on yet, for the docs. */
  readonly unsupported: readonly { readonly field: string; readonly value?: string }[]
}

/** Where a check failed, in the words of `kubectl explain`: `spec.tier: Too big: expected number to be <=4`. */
function told(error: z.ZodError): string {
  const shown = error.issues.slice(0, 3).map(({ path, message }) => `${['spec', ...path].join('.')}: ${message}`)
  const more = error.issues.length - shown.length
  return more > 0 ? `${shown.join('; ')}; and ${more} more` : shown.join('; ')
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/**
 * The value that `kube/` takes as ResourceType. `parse` checks the spec and keeps the copy that zod makes of it (known
 * fields alone, defaults filled in), so that the JSON it came from can go; metadata and status stay as the API server
 * gave them, since it checked both against the CRD made from these same schemas and nothing is decided from status. A
 * `known` version of the same object and generation gives its spec: the API server counts every change of a spec.
 */
export function resourceType<Spec, Status extends CommonStatus>(kind: KindDefinition) {
  return {
    group,
    version,
    kind: kind.kind,
    plural: kind.plural,
    namespaced: kind.namespaced,
    fit: statusFitter(kind.status, kind.kind),
    parse(raw: unknown, known?: KubeObject<Spec, Status>): KubeObject<Spec, Status> {
      if (!isObject(raw) || !isObject(raw['metadata'])) throw new Error(`not a ${kind.kind}: no metadata`)
      const name = String(raw['metadata']['name'])
      if (raw['kind'] !== kind.kind || raw['apiVersion'] !== apiVersion)
        throw new Error(
          `"${name}" is ${String(raw['apiVersion'])} ${String(raw['kind'])}, not ${apiVersion} ${kind.kind}`,
        )
      const { uid, generation } = raw['metadata']
      if (known !== undefined && known.metadata.uid === uid && known.metadata.generation === generation)
        return { ...raw, spec: known.spec } as unknown as KubeObject<Spec, Status>
      const spec = kind.spec.safeParse(raw['spec'])
      if (!spec.success) throw new Error(`${kind.kind} "${name}": ${told(spec.error)}`)
      return { ...raw, spec: spec.data } as unknown as KubeObject<Spec, Status>
    },
  } as const
}

/** READY and WHY, which every kind shows; AGE goes last. */
export const readyColumn: PrinterColumn = {
  name: 'Ready',
  type: 'string',
  jsonPath: '.status.conditions[?(@.type=="Ready")].status',
  description: 'Whether it has become what its spec asks for.',
}
export const whyColumns: readonly PrinterColumn[] = [
  { name: 'Why', type: 'string', jsonPath: '.status.summary', description: 'Why things are as they are, in one line.' },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created.' },
]

/** Workspaces and Runtimes give their names to containers, labels and addresses. */
export const labelNameRule: RootRule = {
  rule: "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
  fieldPath: '.metadata.name',
  message: 'must be a DNS label: at most 63 lower-case letters, digits and "-", without dots',
}
