/**
 * The content of a template: the files that a Workspace, or its Runtime for those that name none, begins with. `configmap/x`
 * is ConfigMap x of the namespace of the Workspace; in a Runtime, which no tenant writes, of the operator's own. Each key is a
 * file, with "/" written as "__". Any other reference is a name and nothing more. Pure.
 */
import { createHash } from 'node:crypto'
import type { InstanceFile } from '../../backends/backend.ts'
import { openNamespace, tooMuchReferred, type Found } from '../references.ts'
import type { Obstacle } from './obstacle.ts'

/** ConfigMaps of the operator's own namespace, which Runtimes refer to. */
export interface Catalog {
  readonly namespace: string
  readonly look: (name: string) => Found
}

export interface Template {
  readonly files: readonly InstanceFile[]
  /** Digest of the files, in twelve characters. */
  readonly revision: string
  /** `ConfigMap acme/writer`. */
  readonly source: string
}

/** The ConfigMap that a reference names; undefined: it names no content. */
export function configMapOf(ref: string | undefined): string | undefined {
  return /^configmap\/([a-z0-9]([-.a-z0-9]*[a-z0-9])?)$/.exec(ref ?? '')?.[1]
}

/** `field`: where the reference stands, for people. Undefined where it names no content. */
export function templateFrom(
  ref: string,
  field: string,
  { namespace, look }: Catalog,
): Template | Obstacle | undefined {
  if (!ref.startsWith('configmap/')) return undefined
  const name = configMapOf(ref)
  if (name === undefined) return unknown(`${field} "${ref}" is not the name of a ConfigMap: write configmap/writer`)
  const found = look(name)
  switch (found.state) {
    case 'found':
      return templateOf(found, name, namespace, field)
    case 'missing':
      return unknown(
        `${field} needs ConfigMap "${name}", which does not exist in namespace ${namespace}: create it, or name another`,
      )
    case 'syncing':
      return {
        condition: 'TemplateKnown',
        reason: 'Waiting',
        message: `waits for ConfigMap "${name}" of namespace ${namespace} to be read`,
        waits: true,
        unread: true,
      }
    case 'exceeded':
      return {
        condition: 'TemplateKnown',
        reason: 'QuotaExceeded',
        message: `${field}: ${tooMuchReferred('ConfigMap', name, namespace, found.limit)}`,
        waits: false,
      }
    case 'forbidden':
    case 'unlabelled':
      return {
        condition: 'TemplateKnown',
        reason: 'ConfigMapForbidden',
        message: `${field}: ${openNamespace('ConfigMap', namespace)}`,
        waits: false,
      }
  }
}

const unknown = (message: string): Obstacle => ({
  condition: 'TemplateKnown',
  reason: 'TemplateUnknown',
  message,
  waits: false,
})

function templateOf(found: Extract<Found, { state: 'found' }>, name: string, namespace: string, field: string) {
  const files = found.keys.map((key) => ({ path: key.replaceAll('__', '/'), content: found.value(key) ?? '' }))
  const bad = files.find(({ path }) => path.split('/').some((part) => ['', '.', '..'].includes(part)))
  if (bad !== undefined)
    return unknown(
      `${field}: key "${bad.path.replaceAll('/', '__')}" of ConfigMap "${name}" is no path of a file: "__" stands for "/"`,
    )
  const digest = createHash('sha256')
  for (const { path, content } of files) digest.update(JSON.stringify([path, Buffer.from(content).toString('base64')]))
  return { files, revision: digest.digest('hex').slice(0, 12), source: `ConfigMap ${namespace}/${name}` }
}

/** A file of the spec takes the place of the template's. */
export const withTemplate = (
  files: readonly InstanceFile[],
  template: Template | undefined,
): readonly InstanceFile[] => {
  const own = new Set(files.map(({ path }) => path))
  return [...(template?.files ?? []).filter(({ path }) => !own.has(path)), ...files]
}
