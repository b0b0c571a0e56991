/** docs/operations.md, "Uninstall": the right order, and the way out of the wrong one. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import type { ControlPlane } from '../../src/dev/control-plane.ts'
import { freePort } from '../../src/dev/server-process.ts'
import { ownControlPlane } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { until } from '../support/until.ts'

const timeout = 300_000
const root = join(import.meta.dirname, '..', '..')
const manifests = join(root, 'manifests')
const apiVersion = 'molecule.dev/v1alpha1'
const databaseUrl = await database()
/** No kubelet and no controllers: a process stands for the Deployment's pod, and `ended` for what ends a namespace. */
let cluster: ControlPlane
let pod: { stop(): Promise<void> } | undefined

beforeAll(async () => {
  cluster = await ownControlPlane()
}, timeout)
afterAll(async () => {
  await pod?.stop()
  await cluster.stop()
})

/** Runs a command that deletes the operator's namespace, and ends that as its controller would. */
async function ended<T>(command: Promise<T>): Promise<T> {
  command.catch(() => {})
  const finalize = async () => {
    const namespace = namespaceShape.parse(await cluster.getJson('namespace', 'molecule-system'))
    if (namespace.status.phase !== 'Terminating') return false
    const input = JSON.stringify({ ...namespace, spec: { finalizers: [] } })
    await cluster.kubectl(['replace', '--raw', '/api/v1/namespaces/molecule-system/finalize', '-f', '-'], { input })
    return true
  }
  await until(finalize, { what: 'the namespace to be deleted', within: 60_000 })
  return await command
}

const namespaceShape = z.looseObject({ status: z.object({ phase: z.string() }) })

async function startPod(): Promise<void> {
  const kubeconfig = join(cluster.dir, `operator-${String(Date.now())}.kubeconfig`)
  // The ServiceAccount comes a moment after its namespace.
  await until(() => cluster.identity('molecule-system', 'molecule-operator', kubeconfig), { within: 60_000 })
  const healthPort = String(await freePort())
  const child = spawn(process.execPath, [join(root, 'src/dev/main.ts'), 'run'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      PATH: process.env['PATH'],
      KUBECONFIG: kubeconfig,
      DATABASE_URL: databaseUrl,
      SECRETS_KEY: Buffer.alloc(32, 7).toString('base64'),
      BACKENDS: 'fake',
      PLATFORM_HOST: '127.0.0.1',
      PLATFORM_PORT: String(await freePort()),
      HEALTH_PORT: healthPort,
      LEADER_ELECT: 'false',
    },
  })
  pod = {
    async stop() {
      pod = undefined
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    },
  }
  await until(async () => (await fetch(`http://127.0.0.1:${healthPort}/readyz`)).ok, { within: 60_000 })
}

const objects = [
  { apiVersion, kind: 'Runtime', metadata: { name: 'claude-code' }, spec: { image: 'local/agent:1', default: true } },
  ...['ada', 'ben'].map((name) => ({
    apiVersion,
    kind: 'Workspace',
    metadata: { name, namespace: 'default' },
    spec: {},
  })),
]

async function install(): Promise<void> {
  await until(() => cluster.kubectl(['apply', '-k', manifests]), { within: 60_000 })
  await startPod()
  await until(() => cluster.apply(objects), { within: 60_000, what: 'the kinds to be served' })
  await cluster.kubectl(['wait', '--for=condition=Ready', 'workspaces', '--all', '--timeout=60s'])
}

const crdNames = async () => (await cluster.kubectl(['get', 'crd', '-o', 'name'])).trim()

test('in the right order nothing of it stays', { timeout }, async () => {
  await install()
  await cluster.kubectl(['delete', 'orgimports,plugininstalls,workspaces', '--all', '--all-namespaces'])
  await cluster.kubectl(['delete', 'runtimes', '--all'])
  await pod?.stop()
  await ended(cluster.kubectl(['delete', '-k', manifests, '--timeout=60s']))
  expect(await crdNames()).toBe('')
})

test('out of the wrong order the same manifests, applied again, lead', { timeout }, async () => {
  await install()
  await pod?.stop()
  await expect(ended(cluster.kubectl(['delete', '-k', manifests, '--timeout=20s']))).rejects.toThrow(/timed out/)
  const marked = await cluster.kubectl([
    'get',
    'workspaces',
    '-A',
    '-o',
    'jsonpath={.items[*].metadata.deletionTimestamp}',
  ])
  expect(marked.split(' ')).toHaveLength(2)
  await cluster.kubectl(['wait', '--for=delete', 'namespace/molecule-system', '--timeout=120s'])
  await cluster.kubectl(['apply', '-k', manifests])
  await startPod()
  // Those that had no objects were gone, and are there anew.
  const going = '{.items[?(@.metadata.deletionTimestamp)].metadata.name}'
  const allGone = async () => (await cluster.kubectl(['get', 'crd', '-o', `jsonpath=${going}`])) === ''
  await until(allGone, { what: 'the CRDs that were being deleted to go', within: 120_000 })
  await pod?.stop()
  await install()
})
