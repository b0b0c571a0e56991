/** Objects beyond the share of their namespace: what is kept of them, and which limit it was. */
import { finalizer, type CommonStatus, type KubeObject } from '../api/meta.ts'
import { sizeOf } from './allowance.ts'
import { hasFinalizer } from './finalizer.ts'

const limits = new WeakMap<KubeObject, string>()

/** The limit for which only the outline of an object is kept; undefined for a whole one. */
export const limitOf = (object: KubeObject): string | undefined => limits.get(object)

/** Longer strings, and larger lists and maps, are emptied. */
const longestText = 256
const largestPart = 1024
const largestOutline = 8 * 1024

/**
 * An outline of the same shape: identity, small fields, and nothing where something large was. It is enough for indexes and for
 * what others ask of it, never for acting on it.
 */
export function reduce<T extends KubeObject>(object: T, limit: string): T {
  const { metadata } = object
  const { labels = {}, annotations = {}, ownerReferences = [], finalizers = [] } = metadata
  const status = object.status as CommonStatus | undefined
  const outline = {
    ...object,
    metadata: {
      ...metadata,
      labels: fits(labels) ? labels : {},
      annotations: fits(annotations) ? annotations : {},
      ownerReferences: fits(ownerReferences) ? ownerReferences : [],
      // Never none where there is one: a deleting object without finalizers is gone.
      finalizers: fits(finalizers) ? finalizers : hasFinalizer(object) ? [finalizer] : finalizers.slice(0, 1),
    },
    spec: outlineOf(object.spec),
    ...(status !== undefined && {
      status: {
        ...(outlineOf(status) as object),
        conditions: fits(status.conditions, largestOutline) ? status.conditions : [],
      },
    }),
  } as unknown as T
  limits.set(outline, limit)
  return outline
}

const fits = (value: unknown, most = largestPart) => sizeOf(value) <= most

function outlineOf(value: unknown): unknown {
  const outline = emptied(value, 3)
  return fits(outline, largestOutline) ? outline : emptied(value, 1)
}

function emptied(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return value.length > longestText ? '' : value
  if (typeof value !== 'object' || value === null || (fits(value) && depth > 0)) return value
  if (Array.isArray(value)) return []
  const members = Object.entries(value)
  if (depth === 0 || members.length > 64) return {}
  return Object.fromEntries(members.map(([name, inner]) => [name, emptied(inner, depth - 1)]))
}
