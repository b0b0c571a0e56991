/**
 * Finds what a template asks of the environment in what `spec.env.from` and `spec.secretsFrom` name. Fails closed: what
 * cannot be read counts as missing. Pure: looks into caches, and nothing of a value leaves it.
 */
import type { OrgImport } from '../../api/org-import.ts'
import type { EnvGroup } from '../../orgs/env.ts'
import type { OrgWarning } from '../../orgs/org-error.ts'
import type { RenderedOrg } from '../../orgs/tree.ts'
import {
  labelSecret,
  openNamespace,
  tooMuchReferred,
  type DataKind,
  type Found,
  type References,
} from '../references.ts'
import { isForbidden } from './forbidden.ts'
import type { Obstacle } from './obstacle.ts'

export interface VariableRef {
  readonly kind: DataKind
  readonly name: string
  readonly key: string
}

export interface Environment {
  /**
   * The variables that the node gets one by one: those that were asked for anywhere, from `env.from`; and those that it
   * asks for itself, from its own Secrets, for of a whole Secret a Workspace leaves some out unless they are named.
   */
  readonly of: (path: string) => ReadonlyMap<string, VariableRef>
  /** The Secrets that it gets whole, later ones winning. */
  readonly secretsOf: (path: string) => readonly string[]
  /** Where the variable comes from that a channel of the node names; undefined when no source has it. */
  readonly find: (path: string, name: string) => VariableRef | undefined
  /** Its value where that is in a ConfigMap; what is in a Secret is shown nowhere. */
  readonly text: (path: string, name: string) => string | undefined
  readonly missingRecommended: readonly string[]
  readonly warnings: readonly OrgWarning[]
}

export interface Lacking extends Obstacle {
  readonly missing: readonly string[]
}

interface Reading {
  /** In `env.from`. */
  readonly shared: ReadonlyMap<string, VariableRef>
  /** Names of Secrets and their keys that have a value, by node path or `*`. */
  readonly own: ReadonlyMap<string, readonly { readonly secret: string; readonly keys: ReadonlySet<string> }[]>
}

type Template = Pick<RenderedOrg, 'env' | 'nodes'>

export function findEnvironment(
  org: OrgImport,
  { env: needs, nodes }: Template,
  references: References,
): Environment | Lacking {
  const read = new Reader(org, references)
  const askers = askersOf(needs)
  const asked = new Set(askers.keys())
  const named = nodes.flatMap(({ channels, hostFolder }) => [
    ...channels.flatMap(({ variables }) => Object.values(variables)),
    ...(hostFolder === undefined ? [] : [hostFolder.variable]),
  ])
  const shared = read.shared(asked, new Set(named))
  if ('waits' in shared) return shared
  const paths = new Set(nodes.map(({ path }) => path))
  const own = read.own(paths)
  if ('waits' in own) return own
  const reading: Reading = { shared, own }
  const missing = needs.required.flatMap((group) => lackOf(group, reading))
  if (missing.length > 0) {
    const message = `required variables are missing: ${missing.join('; ')}: give each in a Secret that spec.env.from or spec.secretsFrom names`
    return { ...lacking('RequiredEnvMissing', message), missing }
  }
  const common = new Map([...shared].filter(([name]) => asked.has(name)))
  const find = (path: string, name: string) => {
    const holder = secretsAt(path, reading).findLast(({ keys }) => keys.has(name))
    return holder === undefined ? shared.get(name) : ({ kind: 'Secret', name: holder.secret, key: name } as const)
  }
  return {
    of: (path) => {
      const secrets = secretsAt(path, reading)
      if (secrets.length === 0) return common
      const mine = [...askers].flatMap(([name, paths]): [string, VariableRef][] => {
        const holder = secrets.findLast(({ keys }) => keys.has(name))
        if (holder === undefined || (paths.size > 0 && !paths.has(path))) return []
        return [[name, { kind: 'Secret', name: holder.secret, key: name }]]
      })
      const rest = [...common].filter(([name]) => !secrets.some(({ keys }) => keys.has(name)))
      return new Map([...rest, ...mine])
    },
    secretsOf: (path) => secretsAt(path, reading).map(({ secret }) => secret),
    find,
    text: (path, name) => {
      const ref = find(path, name)
      const found = ref?.kind === 'ConfigMap' && references.look(ref.kind, org.metadata.namespace ?? '', ref.name)
      if (!found || found.state !== 'found' || ref === undefined) return undefined
      return Buffer.from(found.value(ref.key) ?? [])
        .toString()
        .trim()
    },
    missingRecommended: needs.recommended.flatMap((group) => lackOf(group, reading)),
    warnings: (org.spec.secretsFrom ?? []).flatMap(({ node }) =>
      node === '*' || paths.has(node)
        ? []
        : [{ code: 'UnknownNode', path: node, message: 'spec.secretsFrom names no node of the template' }],
    ),
  }
}

/** Each variable to the nodes that ask for it; empty: everybody does. */
function askersOf({ required, recommended }: Template['env']): ReadonlyMap<string, ReadonlySet<string>> {
  const askers = new Map<string, Set<string>>()
  const everybody = new Set<string>()
  for (const { names, askedBy } of [...required, ...recommended])
    for (const name of names) {
      if (askedBy.length === 0) everybody.add(name)
      const paths = askers.get(name) ?? new Set()
      for (const path of askedBy) paths.add(path)
      askers.set(name, paths)
    }
  for (const name of everybody) askers.get(name)?.clear()
  return askers
}

const secretsAt = (path: string | undefined, { own }: Reading) => [
  ...(own.get('*') ?? []),
  ...(path === undefined ? [] : (own.get(path) ?? [])),
]

/** Who asks for the group and does not get it, for people; nothing when everybody does. */
function lackOf({ names, askedBy }: EnvGroup, reading: Reading): string[] {
  const has = (path: string | undefined) =>
    names.some((name) => reading.shared.has(name) || secretsAt(path, reading).some(({ keys }) => keys.has(name)))
  const what = names.join(' or ')
  if (askedBy.length === 0) return has(undefined) ? [] : [`${what} (asked for by the template)`]
  const without = askedBy.filter((path) => !has(path))
  if (without.length === 0) return []
  const more = without.length > 3 ? ` and ${without.length - 3} more` : ''
  return [`${what} (asked for by ${without.slice(0, 3).join(', ')}${more})`]
}

class Reader {
  readonly #org: OrgImport
  readonly #references: References

  constructor(org: OrgImport, references: References) {
    this.#org = org
    this.#references = references
  }

  /** `asked` reaches every workspace, `named` only the channels that name it. */
  shared(asked: ReadonlySet<string>, named: ReadonlySet<string>): Map<string, VariableRef> | Lacking {
    const found = new Map<string, VariableRef>()
    if (asked.size + named.size === 0) return found
    for (const { prefix = '', secretRef, configMapRef } of this.#org.spec.env?.from ?? []) {
      const kind = secretRef ? 'Secret' : 'ConfigMap'
      const name = secretRef?.name ?? configMapRef?.name ?? ''
      const keys = this.#keys(kind, name, 'spec.env.from')
      if ('waits' in keys) return keys
      for (const key of keys) {
        const variable = `${prefix}${key}`
        if (asked.has(variable) || named.has(variable)) found.set(variable, { kind, name, key })
      }
    }
    const bad = [...found.keys()].filter((name) => isForbidden(name, asked.has(name) ? 'tree' : 'node'))
    if (bad.length > 0)
      return forbidden(bad, 'every workspace would get it: give it to single nodes by spec.secretsFrom')
    // In the order of the names, whatever the order of the Secrets.
    return new Map([...found].toSorted(([a], [b]) => (a < b ? -1 : 1)))
  }

  own(paths: ReadonlySet<string>): Reading['own'] | Lacking {
    const own = new Map<string, { secret: string; keys: ReadonlySet<string> }[]>()
    for (const { node, secretRef } of this.#org.spec.secretsFrom ?? []) {
      if (node !== '*' && !paths.has(node)) continue
      const keys = this.#keys('Secret', secretRef.name, `spec.secretsFrom for "${node}"`)
      if ('waits' in keys) return keys
      const bad = keys.filter((key) => isForbidden(key, node === '*' ? 'tree' : 'node'))
      if (bad.length > 0) return forbidden(bad, `it is in Secret "${secretRef.name}", for "${node}": take it out`)
      own.set(node, [...(own.get(node) ?? []), { secret: secretRef.name, keys: new Set(keys) }])
    }
    return own
  }

  /** Keys that have a value. */
  #keys(kind: DataKind, name: string, where: string): readonly string[] | Lacking {
    const namespace = this.#org.metadata.namespace ?? ''
    const seen: Found = this.#references.look(kind, namespace, name)
    switch (seen.state) {
      case 'found':
        return seen.keys.filter((key) => (seen.value(key)?.length ?? 0) > 0)
      case 'missing':
        return lacking(
          `${kind}Missing`,
          `${where} names ${kind} "${name}", which does not exist in namespace ${namespace}: create it`,
        )
      case 'forbidden':
        return lacking(`${kind}Forbidden`, openNamespace(kind, namespace))
      case 'unlabelled':
        return lacking(`${kind}Forbidden`, `${where}: ${labelSecret(name)}`)
      case 'syncing':
        return { ...lacking('Progressing', `${kind} "${name}" of namespace ${namespace} is being read`), waits: true }
      case 'exceeded':
        return lacking('QuotaExceeded', `${where}: ${tooMuchReferred(kind, name, namespace, seen.limit)}`)
    }
  }
}

const forbidden = (names: readonly string[], why: string): Lacking =>
  lacking('ForbiddenKey', `${names.join(', ')} may not be given: ${why}`)

const lacking = (reason: Obstacle['reason'], message: string): Lacking => ({
  condition: 'EnvironmentReady',
  reason,
  message,
  waits: false,
  missing: [],
})
