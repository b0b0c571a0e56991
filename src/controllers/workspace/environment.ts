/** The environment and files of an instance, gathered from the spec and what it refers to. Pure: looks into caches. */
import type { WorkspaceReason } from '../../api/reasons.ts'
import type { WorkspaceSpec } from '../../api/workspace.ts'
import type { InstanceFile } from '../../backends/backend.ts'
import { codeHostTokens, operatorScope } from '../credentials.ts'
import { labelSecret, openNamespace, tooMuchReferred, type DataKind, type Found } from '../references.ts'
import { configMapOf } from './template.ts'

export type Look = (kind: DataKind, name: string) => Found

/** Why something referred to cannot be had. `Waiting` is the operator's own matter and passes by itself. */
export interface Lack {
  readonly reason: WorkspaceReason &
    (`${DataKind}${'Missing' | 'Forbidden'}` | 'KeyMissing' | 'ForbiddenKey' | 'QuotaExceeded' | 'Waiting')
  readonly message: string
}

export interface Gathered {
  readonly env: Record<string, string>
  readonly files: readonly InstanceFile[]
  /** Values that came from Secrets, also those that another source then replaced: never to be shown. */
  readonly secrets: ReadonlySet<string>
  /** Names of the variables whose values came from Secrets. */
  readonly sealed: ReadonlySet<string>
}

const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

class Gatherer {
  /** Without a prototype: a name like `constructor` or `__proto__` is a name like any other. */
  readonly env = Object.create(null) as Record<string, string>
  readonly files: InstanceFile[] = []
  readonly secrets = new Set<string>()
  readonly sealed = new Set<string>()
  readonly lacks: Lack[] = []
  readonly #namespace: string
  readonly #look: Look

  constructor(namespace: string, look: Look) {
    this.#namespace = namespace
    this.#look = look
  }

  /** The object, or undefined after its lack was noted (an optional one that is missing is no lack). */
  #open(kind: DataKind, name: string, optional: boolean | undefined, where: string) {
    const seen = this.#look(kind, name)
    switch (seen.state) {
      case 'found':
        return seen
      case 'missing':
        if (optional !== true)
          this.lacks.push({
            reason: `${kind}Missing`,
            message: `${where} needs ${kind} "${name}", which does not exist in namespace ${this.#namespace}: create it, or mark the reference optional`,
          })
        return undefined
      case 'forbidden':
        this.lacks.push({ reason: `${kind}Forbidden`, message: `${where}: ${openNamespace(kind, this.#namespace)}` })
        return undefined
      case 'unlabelled':
        this.lacks.push({ reason: `${kind}Forbidden`, message: `${where}: ${labelSecret(name)}` })
        return undefined
      case 'syncing':
        this.lacks.push({ reason: 'Waiting', message: `${kind} "${name}" of namespace ${this.#namespace} to be read` })
        return undefined
      case 'exceeded': {
        const message = `${where}: ${tooMuchReferred(kind, name, this.#namespace, seen.limit)}`
        this.lacks.push({ reason: 'QuotaExceeded', message })
        return undefined
      }
    }
  }

  #key(kind: DataKind, ref: { name: string; key: string; optional?: boolean }, where: string): Uint8Array | undefined {
    const object = this.#open(kind, ref.name, ref.optional, where)
    const value = object?.value(ref.key)
    if (object !== undefined && value === undefined && ref.optional !== true)
      this.lacks.push({
        reason: 'KeyMissing',
        message: `${where} needs key "${ref.key}" of ${kind} "${ref.name}", which has no such key: add it, or mark the reference optional`,
      })
    return value
  }

  #set(name: string, bytes: Uint8Array, kind: DataKind): void {
    const value = decode(bytes)
    this.plain(name, value)
    if (kind !== 'Secret') return
    this.secrets.add(value)
    this.sealed.add(name)
  }

  plain(name: string, value: string): void {
    this.env[name] = value
    this.sealed.delete(name)
  }

  all(kind: DataKind, ref: { name: string; optional?: boolean }, prefix: string, where: string): void {
    const object = this.#open(kind, ref.name, ref.optional, where)
    for (const key of object?.keys ?? []) {
      const name = `${prefix}${key}`
      if (codeHostTokens.has(name)) continue
      if (operatorScope.test(name)) {
        this.lacks.push({
          reason: 'ForbiddenKey',
          message: `${where}: key "${key}" of ${kind} "${ref.name}" is a credential of the platform's operators: take it out, or give it by name in spec.env if the agent is meant to have it`,
        })
        continue
      }
      const value = object?.value(key)
      if (value !== undefined && /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) this.#set(name, value, kind)
    }
  }

  one(name: string, kind: DataKind, ref: { name: string; key: string; optional?: boolean }, where: string): void {
    const value = this.#key(kind, ref, where)
    if (value !== undefined) this.#set(name, value, kind)
  }

  file(path: string, ref: { name: string; key: string; optional?: boolean }, mode: number | undefined): void {
    const content = this.#key('ConfigMap', ref, `spec.files[${path}]`)
    if (content !== undefined) this.files.push({ path, content, ...(mode !== undefined && { mode }) })
  }
}

/** Later sources win: `envFrom` in its order, then `env`. Gives every lack at once, not the first alone. */
export function gather(
  spec: WorkspaceSpec,
  namespace: string,
  look: Look,
): Gathered | { readonly lacks: readonly Lack[] } {
  const gatherer = new Gatherer(namespace, look)
  for (const [i, { prefix = '', secretRef, configMapRef }] of (spec.envFrom ?? []).entries()) {
    if (secretRef) gatherer.all('Secret', secretRef, prefix, `spec.envFrom[${i}]`)
    if (configMapRef) gatherer.all('ConfigMap', configMapRef, prefix, `spec.envFrom[${i}]`)
  }
  for (const { name, value, valueFrom } of spec.env ?? []) {
    if (valueFrom?.secretKeyRef) gatherer.one(name, 'Secret', valueFrom.secretKeyRef, `spec.env[${name}]`)
    else if (valueFrom?.configMapKeyRef) gatherer.one(name, 'ConfigMap', valueFrom.configMapKeyRef, `spec.env[${name}]`)
    else gatherer.plain(name, value ?? '')
  }
  for (const { path, configMapKeyRef, mode } of spec.files ?? []) gatherer.file(path, configMapKeyRef, mode)
  const { env, files, secrets, sealed, lacks } = gatherer
  return lacks.length > 0 ? { lacks } : { env, files, secrets, sealed }
}

/** The Secrets and ConfigMaps a spec refers to, as `Secret/name`: what to watch for it. */
export function referencesOf(spec: WorkspaceSpec): Set<`${DataKind}/${string}`> {
  const found = new Set<`${DataKind}/${string}`>()
  for (const { secretRef, configMapRef } of spec.envFrom ?? []) {
    if (secretRef) found.add(`Secret/${secretRef.name}`)
    if (configMapRef) found.add(`ConfigMap/${configMapRef.name}`)
  }
  const ofChannels = (spec.channels ?? []).flatMap(({ configFrom }) => configFrom ?? [])
  for (const { valueFrom } of [...(spec.env ?? []), ...ofChannels]) {
    if (valueFrom?.secretKeyRef) found.add(`Secret/${valueFrom.secretKeyRef.name}`)
    if (valueFrom?.configMapKeyRef) found.add(`ConfigMap/${valueFrom.configMapKeyRef.name}`)
  }
  for (const { secretRef } of spec.channels ?? []) if (secretRef) found.add(`Secret/${secretRef.name}`)
  for (const { configMapKeyRef } of spec.files ?? []) found.add(`ConfigMap/${configMapKeyRef.name}`)
  const template = configMapOf(spec.template?.ref)
  if (template !== undefined) found.add(`ConfigMap/${template}`)
  return found
}
