import type { Key } from '../api/meta.ts'
import type { ResourceType } from './client.ts'
import type { KubeObject } from '../api/meta.ts'

/** An object as it came over the wire: only its identity is known. */
export interface RawObject {
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid: string
    readonly resourceVersion: string
    readonly managedFields?: unknown
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
    readonly continue?: string
  }
}

export interface RawList {
  readonly metadata: {
    readonly resourceVersion: string
    readonly continue?: string
    /** Objects on later pages, where the API server counts them. */
    readonly remainingItemCount?: number
  }
  readonly items: readonly RawObject[] | null
}

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration'

/**
 * Without what only the API server and kubectl need, which is half of the memory of many objects. List items lack kind
 * and apiVersion, so they are put back. Copies: deleting from the parsed object would turn it into a slow hash map.
 */
export function strip<T extends KubeObject>(raw: RawObject, type: ResourceType<T>): RawObject {
  const { managedFields: _managed, annotations, ...metadata } = raw.metadata
  const named = { ...raw, apiVersion: apiVersionOf(type), kind: type.kind }
  if (annotations === undefined) return { ...named, metadata }
  if (annotations[lastApplied] === undefined) return { ...named, metadata: { ...metadata, annotations } }
  const { [lastApplied]: _applied, ...kept } = annotations
  return { ...named, metadata: { ...metadata, annotations: kept } }
}

export function apiVersionOf(type: { readonly group: string; readonly version: string }): string {
  return type.group === '' ? type.version : `${type.group}/${type.version}`
}

/** Path of a kind's collection, in one namespace or (undefined) in all. */
export function collectionPath<T extends KubeObject>(type: ResourceType<T>, namespace: string | undefined): string {
  const root = type.group === '' ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`
  return namespace === undefined ? `${root}/${type.plural}` : `${root}/namespaces/${namespace}/${type.plural}`
}

/** Path of one object. */
export function objectPath<T extends KubeObject>(type: ResourceType<T>, key: Key): string {
  const [namespace, name] = splitKey(key)
  return `${collectionPath(type, namespace)}/${encodeURIComponent(name)}`
}

export function splitKey(key: Key): [namespace: string | undefined, name: string] {
  const slash = key.indexOf('/')
  return slash < 0 ? [undefined, key] : [key.slice(0, slash), key.slice(slash + 1)]
}

/**
 * Orders two versions of one kind: decimal numbers of any length, by length first, so that nothing is lost in a float.
 * Kubernetes promises that order since 1.35. Before, its documents call a version opaque, but every release that stores
 * its objects in etcd (or in kine) gives the revision of the store, which is such a number.
 */
export function compareVersions(a: string, b: string): number {
  if (a === b) return 0
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : 1
}

const areNumbers = (...versions: readonly string[]) => versions.every((version) => /^\d+$/.test(version))

/**
 * Whether a server that was at `seen` shows itself at `found`, asked later: its store was put back from a backup. Versions
 * that are no numbers tell nothing.
 */
export const wentBack = (seen: string, found: string): boolean =>
  areNumbers(seen, found) && compareVersions(found, seen) < 0

/** Whether a server that shows itself at `found` is at `version` or beyond. Versions that are no numbers tell nothing. */
export const reached = (found: string, version: string): boolean =>
  areNumbers(found, version) && compareVersions(found, version) >= 0

export const newerVersion = (a: string | undefined, b: string): string =>
  a === undefined || compareVersions(a, b) < 0 ? b : a
