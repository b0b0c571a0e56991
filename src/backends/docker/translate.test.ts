import type { ContainerInspectInfo } from 'dockerode'
import { expect, test } from 'vitest'
import type { InstanceSpec } from '../backend.ts'
import { archiveOf, assertContained, createBody, networkName, observationOf, refOf } from './translate.ts'

const uid = '0b5c1d3e-0000-4000-8000-000000000001'
const spec: InstanceSpec = {
  ref: { uid, namespace: 'acme', name: 'ceo' },
  specHash: 'abc',
  image: 'agent:1',
  runtime: 'demo',
  env: { KEY: 'a=b c' },
  files: [{ path: 'a/b/c.md', content: 'c' }],
  token: 'secret-token',
  limits: { memoryBytes: 512 << 20, cpus: 0.5, pids: 256, readOnlyRoot: true },
}
const body = createBody(spec, 'op', 'net-1')

test('what is made from a spec is contained', () => {
  expect(() => assertContained(body)).not.toThrow()
  expect(() =>
    assertContained(createBody({ ...spec, limits: { ...spec.limits, readOnlyRoot: false } }, 'op', 'n')),
  ).not.toThrow()
  expect(body.Env).toContain('KEY=a=b c')
  expect(body.HostConfig).toMatchObject({ NanoCpus: 5e8, Memory: 512 << 20, ReadonlyRootfs: true })
  expect(JSON.stringify(body)).not.toContain('secret-token')
})

const port = (HostIp: string) => ({ '8000/tcp': [{ HostIp, HostPort: '' }] })
const volume = { Type: 'volume', Source: 'x', Target: '/x' } as const

test.each([
  ['Privileged', { Privileged: true }],
  ['Binds', { Binds: ['/var/run/docker.sock:/s'] }],
  ['Devices', { Devices: [{ PathOnHost: '/dev/kvm', PathInContainer: '/dev/kvm', CgroupPermissions: 'rwm' }] }],
  ['CapAdd', { CapAdd: ['NET_ADMIN'] }],
  ['CapDrop', { CapDrop: [] }],
  ['VolumesFrom', { VolumesFrom: ['other'] }],
  ['Mounts', { Mounts: [{ ...volume, Type: 'bind', Source: '/etc' } as const] }],
  ['Mounts', { Mounts: [{ ...volume, Source: '/etc' }] }],
  ['NetworkMode', { NetworkMode: 'host' }],
  ['NetworkMode', { NetworkMode: 'container:other' }],
  ['NetworkMode', { NetworkMode: '' }],
  ['Namespaces', { PidMode: 'host' }],
  ['Namespaces', { IpcMode: 'host' }],
  ['Namespaces', { UsernsMode: 'host' }],
  ['SecurityOpt', { SecurityOpt: ['no-new-privileges:true', 'seccomp=unconfined'] }],
  ['SecurityOpt', { SecurityOpt: [] }],
  ['PortBindings', { PortBindings: port('0.0.0.0') }],
  ['PortBindings', { PortBindings: port('') }],
  ['Limits', { Memory: 0 }],
  ['Limits', { PidsLimit: 0 }],
])('%s: %j is a way out', (name, change) => {
  const broken = { ...body, HostConfig: { ...body.HostConfig, ...change } }
  expect(() => assertContained(broken)).toThrow(new TypeError(`the container would break out: ${name}`))
})

test.each(['', '0', 'root'])('the user %j is a way out', (User) => {
  expect(() => assertContained({ ...body, User })).toThrow('the container would break out: User')
})

test('an environment that could smuggle a second variable is refused', () => {
  expect(() => createBody({ ...spec, env: { 'A=B': 'c' } }, 'op', 'n')).toThrow('"A=B"')
})

test('files and token go to /configs, and to the root where that can be written', () => {
  const paths = ({ entries }: ReturnType<typeof archiveOf>) =>
    entries.map(({ path, mode, owner }) => `${path} ${mode.toString(8)} ${owner}`)
  const sealed = archiveOf(spec)
  expect(sealed.path).toBe('/configs')
  expect(paths(sealed)).toEqual([
    './ 755 1000',
    './a/ 755 1000',
    './a/b/ 755 1000',
    './a/b/c.md 644 1000',
    './.auth_token 600 1000',
  ])
  const open = archiveOf({ ...spec, limits: { ...spec.limits, readOnlyRoot: false } })
  expect(open.path).toBe('/')
  expect(paths(open)).toContain('workspace/ 755 1000')
  expect(paths(open)).toContain('configs/.auth_token 600 1000')
})

test('labels are ours when they name this operator and a uid', () => {
  const { Labels = {} } = body
  expect(refOf(Labels, 'op')).toEqual(spec.ref)
  expect(refOf(Labels, 'another')).toBeUndefined()
  expect(refOf({ 'molecule.dev/operator': 'op' }, 'op')).toBeUndefined()
})

test('networks of two operators have two names', () => {
  expect(networkName('a')).toMatch(/^molecule-[0-9a-f]{12}$/)
  expect(networkName('a')).not.toBe(networkName('b'))
})

const inspected = (State: object, image = 'agent:1') =>
  ({
    Id: 'id',
    Image: 'sha256:1234',
    Config: { Labels: body.Labels, Image: image },
    State: { StartedAt: '2026-01-01T00:00:00Z', FinishedAt: '2026-01-02T00:00:00Z', ...State },
    NetworkSettings: { Ports: { '8000/tcp': [{ HostIp: '127.0.0.1', HostPort: '4567' }] } },
  }) as unknown as ContainerInspectInfo

test.each([
  ['created', { state: 'created', specHash: 'abc' }],
  ['restarting', { state: 'starting' }],
  ['running', { state: 'running', address: 'http://127.0.0.1:4567', imageDigest: 'sha256:1234' }],
  ['paused', { state: 'running' }],
  ['removing', { state: 'stopping' }],
  ['exited', { state: 'exited', exitCode: 137, detail: 'exit code 137, out of memory' }],
  ['dead', { state: 'exited' }],
  ['levitating', { state: 'unknown' }],
])('%s is observed as %j', (Status, seen) => {
  expect(observationOf(inspected({ Status, ExitCode: 137, OOMKilled: true, Error: '' }))).toMatchObject(seen)
})

test('the digest of a pinned image is the one it is pinned to', () => {
  const digest = `sha256:${'a'.repeat(64)}`
  expect(observationOf(inspected({ Status: 'running' }, `r.io/a@${digest}`))).toMatchObject({ imageDigest: digest })
})
