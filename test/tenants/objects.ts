/** What a tenant writes to the API server for a step of a walk. Pure, given what the refs stand for. */
import { orgImport } from '../support/orgs.ts'
import type { Forgery, Step, Wish } from './walk.ts'

/** The spec of a Workspace, of those fields that the wish names. */
export function specOf(wish: Wish, shared: string): object {
  const { parent, power, runtime, ring, broken, poll, retain, cascade, borrows } = wish
  const env = [
    ...(broken === true ? [{ name: 'BROKEN', value: 'yes' }] : []),
    ...(borrows === true ? [{ name: 'KEY', valueFrom: { secretKeyRef: { name: 'keys', key: 'token' } } }] : []),
  ]
  return {
    ...(parent !== undefined && { parentRef: { name: parent } }),
    ...(power && { power }),
    ...(runtime && { runtime: runtime === 'shared' ? shared : 'nosuch' }),
    ...(ring && { updateRing: ring }),
    ...(poll !== undefined && { delivery: poll ? 'poll' : 'push' }),
    ...(retain !== undefined && { deletionPolicy: retain ? 'Retain' : 'Delete' }),
    ...(cascade !== undefined && { childrenPolicy: cascade ? 'Cascade' : 'Orphan' }),
    ...((broken !== undefined || borrows !== undefined) && { env }),
  }
}

/** The rest of one that is created: what cannot change later. */
export function bornWith({ adopt, external }: Wish, id: string, container: string): object {
  return {
    ...(external === true && { backend: 'external' }),
    ...(adopt && {
      adopt: { policy: adopt.policy, ...(adopt.what === 'row' ? { workspaceID: id } : { containerID: container }) },
    }),
  }
}

export function forgedStatus(
  { phase, ready, runtime, instance, power }: Forgery,
  given: { row: string | undefined; container: string; shared: string },
): object {
  const lastTransitionTime = new Date().toISOString()
  const condition = { type: 'Ready', status: ready, reason: 'Forged', message: 'forged', lastTransitionTime }
  return {
    ...(given.row !== undefined && { workspaceID: given.row }),
    ...(phase !== undefined && { phase }),
    ...(ready && { conditions: [condition] }),
    ...(runtime === true && { runtime: given.shared }),
    ...(instance && { instance: { backend: 'docker', id: given.container } }),
    ...(power && { effectivePower: { state: power, reason: 'AsAsked' } }),
  }
}

/** Labels, annotations and an owner reference as if the object were of what has this uid. */
export function claimsOf(uid: string): object {
  const owner = { apiVersion: 'molecule.dev/v1alpha1', kind: 'OrgImport', name: 'org', uid, controller: true }
  return {
    labels: { 'molecule.dev/org-import': uid, 'molecule.dev/uid': uid },
    annotations: {
      'molecule.dev/org-node': 'Chief',
      'molecule.dev/restarted-at': '1',
      'molecule.dev/wake-at': '2020-01-01T00:00:00Z',
    },
    ownerReferences: [owner],
  }
}

/** Agents of nodes called Broken never register. */
export function importOf(
  { nodes, broken, parent }: Extract<Step, { kind: 'import' }>,
  { namespace, name, shared }: { namespace: string; name: string; shared: string },
  metadata: object,
) {
  const workspaces = Array.from({ length: nodes }, (_, at) => ({ name: `${broken ? 'Broken' : 'Chief'} ${at}` }))
  const spec = {
    source: { inline: { name: 'Org', defaults: { runtime: shared }, workspaces } },
    existing: 'Adopt',
    prune: 'Delete',
    ...(parent !== undefined && { target: { parentRef: { name: parent } } }),
  }
  return orgImport(namespace, name, spec, metadata)
}

export function installOf(all: boolean): object {
  const targets = all ? { selector: {} } : { names: ['lead', 'worker', 'canary'] }
  const metadata = { name: 'tool' }
  return { apiVersion: 'molecule.dev/v1alpha1', kind: 'PluginInstall', metadata, spec: { source: 'tool', targets } }
}
