/** From a spec and its surroundings to what is wanted, defaults applied; or to what stands in the way. Pure. */
import { createHash } from 'node:crypto'
import { restartedAt } from '../../api/meta.ts'
import type { WorkspaceCondition, WorkspaceReason } from '../../api/reasons.ts'
import type { Runtime, RuntimeSpec } from '../../api/runtime.ts'
import type { Workspace } from '../../api/workspace.ts'
import type { InstanceRef, InstanceSpec } from '../../backends/backend.ts'
import { parseDuration, type Duration } from '../../duration.ts'
import { workspaceId, type WorkspaceIntent } from '../../store/workspace-store.ts'
import { renderAgentConfig } from './agent-config.ts'
import { defaultTier, limitsOf, modelOf, type DeploymentMode } from './defaults.ts'
import { gather, type Gathered, type Lack, type Look } from './environment.ts'

export interface Settings {
  readonly deploymentMode: DeploymentMode
  readonly defaultBackend: string
  /** Names of the backends that are on. */
  readonly backends: ReadonlySet<string>
  /** By which agents reach the operator. */
  readonly platformUrl: string
}

/** What a workspace can see around it. */
export interface Surroundings {
  /** Every Runtime, by name. */
  readonly runtimes: ReadonlyMap<string, Runtime>
  /** A Workspace of the same namespace. */
  readonly sibling: (name: string) => Workspace | undefined
  readonly look: Look
}

/** Everything that a pass needs to know of the wish: the row's content, and the instance (absent for `external`). */
export interface Desired {
  readonly intent: WorkspaceIntent
  readonly power: 'running' | 'stopped'
  readonly bootDeadline: Duration
  readonly image: { readonly ref: string; readonly digest: string | undefined }
  readonly instance: Omit<InstanceSpec, 'token'>
  readonly secrets: ReadonlySet<string>
}

/** What stands in the way. `waits`: it can pass without anyone touching this object or what it names. */
export interface Obstacle {
  readonly condition: WorkspaceCondition
  readonly reason: WorkspaceReason
  readonly message: string
  readonly waits: boolean
}

export const isObstacle = (result: Desired | Obstacle): result is Obstacle => 'condition' in result

export const refOf = ({ metadata }: Workspace): InstanceRef => ({
  uid: metadata.uid,
  namespace: metadata.namespace ?? '',
  name: metadata.name,
})

export function resolve(workspace: Workspace, around: Surroundings, settings: Settings): Desired | Obstacle {
  const parent = parentOf(workspace, around.sibling)
  if ('condition' in parent) return parent
  const backend = workspace.spec.backend ?? settings.defaultBackend
  const runtime = runtimeOf(workspace, around.runtimes, backend)
  if ('condition' in runtime) return runtime
  const model = modelOf(workspace.spec.model, { name: runtime.name, defaultModel: runtime.spec.defaultModel })
  const models = runtime.spec.models ?? []
  if (models.length > 0 && !models.some(({ id }) => id === model))
    return {
      condition: 'RuntimeResolved',
      reason: 'ModelUnknown',
      message: `spec.model "${model}" is not one of runtime "${runtime.name}": it has ${models.map(({ id }) => id).join(', ')}`,
      waits: false,
    }
  const gathered = gather(workspace.spec, workspace.metadata.namespace ?? '', around.look)
  const lack = 'lacks' in gathered ? lacking(gathered.lacks) : missingVariables(runtime, model, gathered, backend)
  if (lack !== undefined || 'lacks' in gathered) return lack ?? lacking([])
  if (!settings.backends.has(backend))
    return {
      condition: 'Launched',
      reason: 'BackendNotConfigured',
      message: `spec.backend "${backend}" is not turned on in this operator: it has ${[...settings.backends].join(', ')}`,
      waits: false,
    }
  return desire(workspace, { parent: parent.uid, runtime, backend, model, gathered }, settings)
}

/** The Runtime in use, by name. */
interface Chosen {
  readonly name: string
  readonly spec: Pick<RuntimeSpec, 'image' | 'digest' | 'defaultModel' | 'models' | 'requiredEnv' | 'bootDeadline'>
}

/** An external agent that names no runtime brings whatever it is: there is no image to choose. */
const ownRuntime: Chosen = { name: 'external', spec: { image: '', bootDeadline: '10m' } }

interface Choices {
  readonly parent: string | undefined
  readonly runtime: Chosen
  readonly backend: string
  readonly model: string
  readonly gathered: Gathered
}

function desire(workspace: Workspace, choices: Choices, settings: Settings): Desired {
  const { spec, metadata } = workspace
  const { runtime, backend, model, gathered, parent } = choices
  const displayName = spec.displayName ?? metadata.name
  const role = spec.role?.trim()
  const tier = spec.tier ?? defaultTier(settings.deploymentMode)
  const image = { ref: pinned(runtime), digest: runtime.spec.digest }
  const limits = limitsOf(tier)
  const agent = { name: displayName, description: role ?? '', tier, runtime: runtime.name, model }
  const asked = { ...(role !== undefined && role !== '' && { MOLECULE_AGENT_ROLE: role }), ...gathered.env }
  // What a rename, a move or a new address of the operator changes is left out: those do not restart an agent.
  const specHash = digest([
    { runtime: agent.runtime, model, tier, image: image.ref, limits, restartedAt: metadata.annotations?.[restartedAt] },
    Object.entries(asked).sort(byFirst),
    gathered.files
      .map(({ path, content, mode }) => [path, Buffer.from(content).toString('base64'), mode] as const)
      .sort(byFirst),
  ])
  const intent: WorkspaceIntent = {
    id: workspaceId(metadata.uid),
    ownerUid: metadata.uid,
    namespace: metadata.namespace ?? '',
    resourceName: metadata.name,
    generation: metadata.generation,
    displayName,
    role: role === '' ? undefined : role,
    parentId: parent === undefined ? undefined : workspaceId(parent),
    tier,
    runtime: agent.runtime,
    model,
    backend,
    template: spec.template?.ref ?? '',
    specHash,
    workspaceDir: spec.workspaceDir,
    workspaceAccess: spec.workspaceAccess,
    deliveryMode: spec.delivery,
    maxConcurrentTasks: spec.maxConcurrentTasks,
    updateTier: spec.updateRing,
    canvas: spec.canvas,
    initialPhase: backend === 'external' ? 'awaiting_agent' : 'provisioning',
  }
  return {
    intent,
    power: spec.power === 'Paused' ? 'stopped' : 'running',
    bootDeadline: parseDuration(runtime.spec.bootDeadline),
    image,
    secrets: gathered.secrets,
    instance: {
      ref: refOf(workspace),
      specHash,
      image: image.ref,
      runtime: agent.runtime,
      limits,
      files: [...gathered.files, { path: 'config.yaml', content: renderAgentConfig(agent) }],
      env: {
        MODEL: model,
        ...asked,
        // Last, so that no spec can make an agent speak for another or to another operator.
        WORKSPACE_ID: metadata.uid,
        WORKSPACE_NAME: displayName,
        TIER: String(tier),
        PLATFORM_URL: settings.platformUrl,
        MOLECULE_URL: settings.platformUrl,
      },
    },
  }
}

const byFirst = ([a]: readonly [string, ...unknown[]], [b]: readonly [string, ...unknown[]]) => (a < b ? -1 : 1)

const digest = (parts: unknown): string => createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)

/** The image by digest where one is pinned. */
function pinned({ spec }: Chosen): string {
  if (spec.digest === undefined) return spec.image
  const lastSlash = spec.image.lastIndexOf('/')
  const tag = spec.image.indexOf(':', lastSlash + 1)
  return `${tag < 0 ? spec.image : spec.image.slice(0, tag)}@${spec.digest}`
}

/** The parent's UID (undefined for a root), once it exists and no cycle leads back here. */
function parentOf(workspace: Workspace, sibling: Surroundings['sibling']): { uid: string | undefined } | Obstacle {
  const own = workspace.metadata.name
  const above = workspace.spec.parentRef?.name
  if (above === undefined) return { uid: undefined }
  const chain = [own]
  for (let name: string | undefined = above; name !== undefined; name = sibling(name)?.spec.parentRef?.name) {
    chain.push(name)
    if (name === own)
      return {
        condition: 'ParentFound',
        reason: 'ParentCycle',
        message: `spec.parentRef leads back here (${chain.join(' → ')}): give one of them another parent`,
        waits: false,
      }
    if (chain.indexOf(name) < chain.length - 1) break // a cycle further up: its members say so
  }
  const parent = sibling(above)
  if (parent !== undefined) return { uid: parent.metadata.uid }
  return {
    condition: 'ParentFound',
    reason: 'ParentMissing',
    message: `waits for its parent: Workspace "${above}" does not exist in namespace ${workspace.metadata.namespace ?? ''}`,
    waits: true,
  }
}

function runtimeOf(workspace: Workspace, runtimes: Surroundings['runtimes'], backend: string): Chosen | Obstacle {
  const obstacle = (reason: WorkspaceReason, message: string): Obstacle => ({
    condition: 'RuntimeResolved',
    reason,
    message,
    waits: false,
  })
  const known = [...runtimes.keys()].sort().join(', ') || 'none'
  const name = workspace.spec.runtime
  if (name !== undefined) {
    const runtime = runtimes.get(name)
    if (runtime !== undefined) return { name, spec: runtime.spec }
    return obstacle('RuntimeUnknown', `runtime "${name}" is not in the catalog: it has ${known}`)
  }
  if (backend === 'external') return ownRuntime
  const defaults = [...runtimes.values()].filter(({ spec }) => spec.default)
  const [only] = defaults
  if (only !== undefined && defaults.length === 1) return { name: only.metadata.name, spec: only.spec }
  return only === undefined
    ? obstacle('NoDefaultRuntime', `spec.runtime is empty and no Runtime is the default: name one of ${known}`)
    : obstacle(
        'AmbiguousDefaultRuntime',
        `spec.runtime is empty and several Runtimes say they are the default: ${defaults
          .map(({ metadata }) => metadata.name)
          .sort()
          .join(', ')}`,
      )
}

function lacking(lacks: readonly Lack[]): Obstacle {
  const worst = lacks.find(({ reason }) => reason !== 'Waiting') ?? lacks[0]
  return {
    condition: 'Launched',
    reason: worst?.reason ?? 'Waiting',
    message: lacks
      .filter(({ reason }) => worst?.reason === 'Waiting' || reason !== 'Waiting')
      .map(({ message }) => message)
      .join('; '),
    waits: worst?.reason === 'Waiting',
  }
}

/** What the runtime or the model cannot work without. An external agent brings its own environment. */
function missingVariables(runtime: Chosen, model: string, { env }: Gathered, backend: string): Obstacle | undefined {
  if (backend === 'external') return undefined
  const ofModel = runtime.spec.models?.find(({ id }) => id === model)?.requiredEnv
  const missing = (ofModel ?? runtime.spec.requiredEnv ?? []).filter((name) => (env[name] ?? '') === '')
  if (missing.length === 0) return undefined
  return {
    condition: 'Launched',
    reason: 'RequiredEnvMissing',
    message: `runtime "${runtime.name}" with model "${model}" needs ${missing.join(', ')}: give each in spec.env or spec.envFrom`,
    waits: false,
  }
}
