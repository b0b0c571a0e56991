/**
 * The last look at a body before it is sent: every key that may be in it, each with what it may be. Whatever else is in it
 * is refused, also what this code has never heard of. Whoever changes how a body is made meets this list before the host.
 */
import type { ContainerCreateOptions } from 'dockerode'
import { z } from 'zod'
import type { InstanceSpec } from '../backend.ts'
import { agentPort, agentUser, hostAlias, metadataAddresses, workspace } from './translate.ts'

type Openings = Pick<InstanceSpec, 'limits' | 'hostFolder'>

/** Throws a TypeError that names every key which the spec's own limits and folder do not allow as it is. */
export function assertContained(body: ContainerCreateOptions, openings: Openings, socket: string): void {
  const read = bodyOf(openings, socket).safeParse(body)
  if (read.success && shadowsMetadata(read.data)) return
  const found = read.success ? ['NetworkingConfig'] : new Set(read.error.issues.flatMap(keysOf))
  throw new TypeError(`the container would break out: ${[...found].join(', ')}`)
}

const texts = z.record(z.string(), z.string())
const volumeName = z.string().regex(/^[A-Za-z0-9][\w.-]*$/)
const path = z.string().startsWith('/')
/** By id or name; a mode of the engine's own, or another container's, is none. */
const network = z.string().regex(/^(?!(host|none|bridge|default)$)[A-Za-z0-9][\w.-]*$/)
const published = `${agentPort}/tcp`
const loopback = z.strictObject({ HostIp: z.literal('127.0.0.1'), HostPort: z.literal('') })

const endpoint = z.strictObject({
  Aliases: z.array(z.string()),
  IPAMConfig: z.strictObject({ LinkLocalIPs: z.array(z.string()) }),
})

/** Also the driver's options are looked at: with them a volume of the driver `local` can be any folder of the host. */
const volume = z.strictObject({
  Type: z.literal('volume'),
  Source: volumeName,
  Target: path,
  VolumeOptions: z.strictObject({
    NoCopy: z.literal(false),
    Labels: texts,
    DriverConfig: z.strictObject({ Name: z.literal('local'), Options: z.strictObject({}) }),
  }),
})

const bind = (source: string, target: string, readOnly: boolean) =>
  z.strictObject({
    Type: z.literal('bind'),
    Source: z.literal(source),
    Target: z.literal(target),
    ReadOnly: readOnly ? z.literal(true) : z.boolean(),
    BindOptions: z.strictObject({ Propagation: z.literal('rprivate') }),
  })

function bodyOf({ limits, hostFolder }: Openings, socket: string) {
  const may = new Set(limits.hostAccess)
  const binds = [
    ...(hostFolder === undefined ? [] : [bind(hostFolder.path, workspace, hostFolder.access === 'read_only')]),
    ...(may.has('EngineSocket') ? [bind(socket, '/var/run/docker.sock', false)] : []),
  ]
  const held = { CapDrop: z.tuple([z.literal('ALL')]), SecurityOpt: z.tuple([z.literal('no-new-privileges:true')]) }
  const host = z.strictObject({
    Mounts: z.array(z.union([volume, ...binds])),
    NetworkMode: may.has('HostNetwork') ? z.union([network, z.literal('host')]) : network,
    PortBindings: z.strictObject({ [published]: z.tuple([loopback]) }).optional(),
    PidMode: may.has('HostPID') ? z.literal('host').optional() : z.never().optional(),
    Privileged: may.has('Privileged') ? z.boolean().optional() : z.never().optional(),
    ...(may.has('Privileged') ? z.object(held).partial().shape : held),
    ExtraHosts: z.tuple([z.literal(hostAlias)]),
    Memory: z.literal(limits.memoryBytes),
    MemorySwap: z.literal(limits.memoryBytes),
    NanoCpus: z
      .number()
      .min(1)
      .max(limits.cpus * 1e9),
    PidsLimit: z.literal(limits.pids),
    StorageOpt: z.strictObject({ size: z.literal(String(limits.diskBytes)) }).optional(),
    ReadonlyRootfs: z.literal(limits.readOnlyRoot),
    Tmpfs: z.strictObject({ '/tmp': z.literal('rw,noexec,nosuid,nodev,size=64m') }).optional(),
    RestartPolicy: z.strictObject({ Name: z.literal('no') }),
    LogConfig: z.strictObject({
      Type: z.literal('json-file'),
      Config: z.strictObject({ 'max-size': z.literal('1m'), 'max-file': z.literal('2') }),
    }),
  })
  return z.strictObject({
    Hostname: z.string().regex(/^ws-[A-Za-z0-9-]+$/),
    Image: z.string().min(1),
    User: z.literal(`${agentUser}:${agentUser}`),
    Env: z.array(z.string()),
    Labels: texts,
    ExposedPorts: z.strictObject({ [published]: z.strictObject({}) }).optional(),
    HostConfig: host,
    NetworkingConfig: z.strictObject({ EndpointsConfig: z.record(network, endpoint) }).optional(),
  })
}

/** On the network that it is put on, and on no other, it has every metadata address itself. */
function shadowsMetadata({ HostConfig, NetworkingConfig }: z.output<ReturnType<typeof bodyOf>>): boolean {
  const endpoints = Object.entries(NetworkingConfig?.EndpointsConfig ?? {})
  if (HostConfig.NetworkMode === 'host') return endpoints.length === 0
  const [[name, own] = []] = endpoints
  const addresses = new Set(own?.IPAMConfig.LinkLocalIPs)
  return (
    endpoints.length === 1 && name === HostConfig.NetworkMode && metadataAddresses.every((one) => addresses.has(one))
  )
}

/** `HostConfig.Mounts`: what is deeper is the same key's matter. */
function keysOf({ path: at, ...issue }: z.core.$ZodIssue): string[] {
  const key = at.filter((part) => typeof part === 'string').slice(0, 2)
  if (issue.code !== 'unrecognized_keys' || key.length > 1) return [key.join('.')]
  return issue.keys.map((unknown) => [...key, unknown].join('.'))
}
