/** Requests to the run's API server, as a test of schemas wants them: an answer, refused or not, and nothing left. */
import { crdOf } from '../../src/api/crd.ts'
import type { KindDefinition } from '../../src/api/kind.ts'
import { apiVersion } from '../../src/api/meta.ts'
import { orgImportKind } from '../../src/api/org-import.ts'
import { pluginInstallKind } from '../../src/api/plugin-install.ts'
import { runtimeKind } from '../../src/api/runtime.ts'
import { workspaceKind } from '../../src/api/workspace.ts'
import { findCredentials } from '../../src/kube/credentials.ts'
import { KubeError } from '../../src/kube/kube-error.ts'
import { Transport } from '../../src/kube/transport.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { until } from '../support/until.ts'

export const kinds = {
  Workspace: workspaceKind,
  OrgImport: orgImportKind,
  PluginInstall: pluginInstallKind,
  Runtime: runtimeKind,
} as const satisfies Record<string, KindDefinition>
export type Kind = keyof typeof kinds
export const kindNames = Object.keys(kinds) as Kind[]

export type Json = Record<string, unknown>
export interface Sent {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly resourceVersion?: string }
  readonly spec: Json
  readonly status?: Json
}
export type Answer =
  | { readonly refused: false; readonly object: Sent }
  | { readonly refused: true; readonly code: number; readonly message: string }

export const schemaOf = (kind: Kind) => {
  const schema = crdOf(kinds[kind]).spec.versions[0]?.schema.openAPIV3Schema
  if (!schema) throw new Error(`${kind} has no version`)
  return schema
}

/** The least that each kind may say. */
export const least: Readonly<Record<Kind, Json>> = {
  Workspace: {},
  OrgImport: { source: { inline: { name: 'Acme' } } },
  PluginInstall: { source: 'careful-bash', targets: { names: ['a'] } },
  Runtime: { image: 'agents/claude-code:1' },
}

export const objectOf = (kind: Kind, name: string, spec: unknown): Sent => ({
  apiVersion,
  kind,
  metadata: { name },
  spec: spec as Json,
})

export type Requests = Awaited<ReturnType<typeof requests>>

/** In one namespace, as whoever the kubeconfig says. */
export async function requests(namespace: string, kubeconfig: string) {
  const credentials = await findCredentials({ kubeconfig })
  const transport = new Transport({
    credentials,
    metrics: createMetrics(),
    log: createLogger('silent'),
    connections: 8,
  })
  const pathOf = (kind: Kind, name = '') => {
    const { plural, namespaced } = kinds[kind]
    return `/apis/${apiVersion}${namespaced ? `/namespaces/${namespace}` : ''}/${plural}${name && `/${name}`}`
  }
  const answer = async (sent: Promise<unknown>): Promise<Answer> => {
    try {
      return { refused: false, object: (await sent) as Sent }
    } catch (error) {
      if (!(error instanceof KubeError) || error.code === 0) throw error
      return { refused: true, code: error.code, message: error.message }
    }
  }
  const api = {
    /** `dry`: admission, defaults and rules, but nothing is stored. */
    create: (object: Sent, dry = true) => {
      const path = `${pathOf(object.kind as Kind)}?fieldValidation=Strict${dry ? '&dryRun=All' : ''}`
      return answer(transport.send({ method: 'POST', path, body: object, verb: 'create' }))
    },
    get: (kind: Kind, name: string) => answer(transport.send({ method: 'GET', path: pathOf(kind, name), verb: 'get' })),
    /** Puts another spec in place of the one that is there. */
    replace: async (object: Sent) => {
      const kind = object.kind as Kind
      const path = `${pathOf(kind, object.metadata.name)}?fieldValidation=Strict`
      return await answer(transport.send({ method: 'PUT', path, body: object, verb: 'update' }))
    },
    patch: (kind: Kind, name: string, patch: Json, options: { status?: boolean; dry?: boolean } = {}) => {
      const path = `${pathOf(kind, name)}${options.status ? '/status' : ''}?fieldValidation=Strict${options.dry ? '&dryRun=All' : ''}`
      const contentType = 'application/merge-patch+json'
      return answer(transport.send({ method: 'PATCH', path, body: patch, contentType, verb: 'patch' }))
    },
    remove: async (kind: Kind, name: string) => {
      const unlock = { metadata: { finalizers: null } }
      const contentType = 'application/merge-patch+json'
      await answer(transport.send({ method: 'DELETE', path: pathOf(kind, name), verb: 'delete' }))
      await answer(
        transport.send({ method: 'PATCH', path: pathOf(kind, name), body: unlock, contentType, verb: 'patch' }),
      )
    },
    close: () => transport.close(),
  }
  // A CRD is Established, and a policy stored, about a second before the API server serves the one and has read the other.
  for (const kind of kindNames)
    await until(async () => !(await api.create(objectOf(kind, 'ready', least[kind]))).refused, {
      what: `${kind} served`,
    })
  return api
}
