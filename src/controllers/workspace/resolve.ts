/** From a spec and its surroundings to what is wanted, defaults applied; or to what stands in the way. Pure. */
import { resetSessionAt, restartedAt } from '../../api/meta.ts'
import type { Runtime, RuntimeSpec } from '../../api/runtime.ts'
import type { Workspace } from '../../api/workspace.ts'
import type { HostAccess, InstanceFile, InstanceRef, InstanceSpec } from '../../backends/backend.ts'
import { parseDuration, type Duration } from '../../duration.ts'
import { redactor, type Redact } from '../../redaction.ts'
import { type RowOwner, workspaceId, type WorkspaceIntent, type WorkspaceRow } from '../../store/workspace-store.ts'
import { promptsAmong, renderAgentConfig, type AgentConfig } from './agent-config.ts'
import { modelOf } from '../models.ts'
import { defaultTier, limitsOf, withheldOf, type DeploymentMode, type Tiers } from './defaults.ts'
import { gather, type Gathered, type Lack, type Look } from './environment.ts'
import { gitIdentity } from './git-identity.ts'
import { isObstacle, type Obstacle } from './obstacle.ts'
import { imageless, missingVariables, pinned, runtimeOf, unknownModel, type Chosen } from './runtime-choice.ts'
import { declaredRuntime, pathFault, seedFault } from './seed.ts'
import { desiredHashOf, resetOf, type DesiredHash, type HashKey } from './spec-hash.ts'
import { templateFrom, withTemplate, type Catalog, type Template } from './template.ts'
import { whyNoSessions } from './unsupported.ts'

export interface Settings {
  readonly deploymentMode: DeploymentMode
  readonly defaultBackend: string
  /** Names of the backends that are on. */
  readonly backends: ReadonlySet<string>
  /** By which agents reach the operator. */
  readonly platformUrl: string
  /** The hard limits of each tier. */
  readonly tiers: Tiers
  /** Of SECRETS_KEY; undefined where there is none. */
  readonly hashKey?: HashKey | undefined
}

/** What a workspace can see around it. */
export interface Surroundings {
  /** Every Runtime, by name. */
  readonly runtimes: ReadonlyMap<string, Runtime>
  /** A Workspace of the same namespace. */
  readonly sibling: (name: string) => Workspace | undefined
  readonly look: Look
  /** Where templates of Runtimes are. */
  readonly catalog: Catalog
  /** The limit of the namespace, where so many older Workspaces leave no place for this one. */
  readonly quotaExceeded: number | undefined
}

/** Everything that a pass needs to know of the wish: the row's content, and the instance (absent for `external`). */
export interface Desired {
  readonly intent: WorkspaceIntent
  readonly hash: DesiredHash
  readonly runtime: RuntimeSpec | undefined
  readonly bootDeadline: Duration
  /** Undefined where the backend runs no images. */
  readonly image: string | undefined
  /** What the files of its template are; undefined where it names no content. */
  readonly template: Pick<Template, 'revision' | 'source'> | undefined
  /** Whether the object that spec.parentRef names exists; undefined for a root. */
  readonly parentFound: boolean | undefined
  readonly instance: Omit<InstanceSpec, 'token'>
  /** Ways onto the host that its tier stands for and its namespace is not given. */
  readonly withheld: readonly HostAccess[]
  /** Why it may not be launched; undefined: it may. What was launched so already goes on. */
  readonly unlaunchable: Obstacle | undefined
  /** Why it has no sessions that could be emptied; undefined: it has. */
  readonly noSessions: string | undefined
  /** Takes out of a text all values that came from Secrets. */
  readonly redact: Redact
}

export const refOf = ({ metadata }: Workspace): InstanceRef => ({
  uid: metadata.uid,
  namespace: metadata.namespace ?? '',
  name: metadata.name,
})

/** Whose row a Workspace has. */
export const ownerOf = ({ metadata }: Workspace): RowOwner => ({
  ownerUid: metadata.uid,
  namespace: metadata.namespace ?? '',
})

export function resolve(workspace: Workspace, around: Surroundings, settings: Settings): Desired | Obstacle {
  if (around.quotaExceeded !== undefined) return overQuota(workspace, around.quotaExceeded)
  const parent = parentOf(workspace, around.sibling)
  if ('condition' in parent) return parent
  if (workspace.spec.adopt?.instanceID !== undefined)
    return {
      condition: 'Launched',
      reason: 'BackendNotConfigured',
      message:
        'spec.adopt.instanceID is an instance of EC2, and this operator has no backend for those: nothing is made in its place',
      waits: false,
    }
  const unsound = seedFault(workspace.spec)
  if (unsound !== undefined) return unsound
  const backend = workspace.spec.backend ?? settings.defaultBackend
  const runtime = runtimeOf(workspace, around.runtimes, backend)
  if ('condition' in runtime) return runtime
  const model = modelOf(workspace.spec.model, { name: runtime.name, ...runtime.spec })
  const unlaunchable = unknownModel(runtime, model)
  const gathered = gather(workspace.spec, workspace.metadata.namespace ?? '', around.look)
  const lack = 'lacks' in gathered ? lacking(gathered.lacks) : missingVariables(runtime, model, gathered, backend)
  const first = (obstacle: Obstacle): Obstacle =>
    unlaunchable === undefined ? obstacle : { ...unlaunchable, unread: obstacle.unread === true }
  if (lack !== undefined || 'lacks' in gathered) return first(lack ?? lacking([]))
  const template = templateOf(workspace, runtime, around)
  if (template !== undefined && isObstacle(template)) return first(template)
  const files = withTemplate(gathered.files, template)
  const seed = files.find(({ path }) => path === 'config.yaml')
  const declared = seed && declaredRuntime(Buffer.from(seed.content).toString())
  if (declared !== undefined && declared !== runtime.name)
    return {
      condition: 'Launched',
      reason: 'SeedMismatch',
      message: `${seed !== undefined && gathered.files.includes(seed) ? 'spec.files' : (template?.source ?? '')}[config.yaml] is for runtime "${declared}", but the runtime is "${runtime.name}": change one of them`,
      waits: false,
    }
  if (!settings.backends.has(backend))
    return {
      condition: 'Launched',
      reason: 'BackendNotConfigured',
      message: `spec.backend "${backend}" is not turned on in this operator: it has ${[...settings.backends].join(', ')}`,
      waits: false,
    }
  const choices = { parent, runtime, backend, model, gathered: { ...gathered, files }, template }
  return { ...desire(workspace, choices, settings), unlaunchable }
}

/** What spec.template names goes before what the Runtime has for those that name none. */
function templateOf(
  { spec, metadata }: Workspace,
  runtime: Chosen,
  around: Surroundings,
): Template | Obstacle | undefined {
  const own = spec.template?.ref
  const { namespace = '' } = metadata
  const home = { namespace, look: (name: string) => around.look('ConfigMap', name) }
  const field = own === undefined ? `spec.template.ref of runtime "${runtime.name}"` : 'spec.template.ref'
  const ref = own ?? runtime.spec.template?.ref ?? ''
  const template = templateFrom(ref, field, own === undefined ? around.catalog : home)
  if (template === undefined || isObstacle(template)) return template
  return (
    pathFault(
      template.files.map(({ path }) => path),
      template.source,
    ) ?? template
  )
}

type Parent = { readonly kind: 'none' } | { readonly kind: 'found'; readonly uid: string } | { readonly kind: 'gone' }

interface Choices {
  readonly parent: Parent
  readonly runtime: Chosen
  readonly backend: string
  readonly model: string
  /** With the files of the template. */
  readonly gathered: Gathered
  readonly template: Template | undefined
}

function desire(workspace: Workspace, choices: Choices, settings: Settings): Omit<Desired, 'unlaunchable'> {
  const { spec, metadata } = workspace
  const { runtime, backend, model, gathered, parent } = choices
  const displayName = spec.displayName ?? metadata.name
  const role = spec.role?.trim()
  const tier = spec.tier ?? defaultTier(settings.deploymentMode)
  const image = imageless.has(backend) ? undefined : pinned(runtime)
  const namespace = metadata.namespace ?? ''
  const limits = limitsOf(settings.tiers, tier, namespace)
  const routing = spec.categoryRouting ?? {}
  const prompts = promptsAmong(gathered.files, parseDuration(spec.idleInterval ?? '10m') / 1000)
  const agent = { name: displayName, description: role ?? '', tier, runtime: runtime.name, model, routing, prompts }
  const asked = { ...(role !== undefined && role !== '' && { MOLECULE_AGENT_ROLE: role }), ...gathered.env }
  const template = spec.template?.ref ?? runtime.spec.template?.ref ?? ''
  const { workspaceDir, workspaceAccess: access } = spec
  const hostFolder = workspaceDir !== undefined && access !== 'none' ? { path: workspaceDir, access } : undefined
  const { platform, sessionsPath } = runtime.spec
  // What a rename, a move or a new address of the operator changes is left out: those do not restart an agent.
  const files = gathered.files
    .map(({ path, content, mode }) => [path, Buffer.from(content).toString('base64'), mode] as const)
    .sort(byFirst)
  const wish = {
    uid: metadata.uid,
    content: (env: readonly (readonly string[])[]) => [
      { runtime: agent.runtime, model, tier, limits, template, hostFolder, sessionsPath },
      env,
      files,
      Object.entries(routing).sort(byFirst),
      ...(prompts.idle === '' ? [] : [prompts.idleSeconds]),
    ],
    env: Object.entries(asked).sort(byFirst),
    sealed: gathered.sealed,
    image: image === undefined ? undefined : `${image} ${platform ?? ''}`,
    restart: metadata.annotations?.[restartedAt],
    reset: sessionsPath === undefined ? undefined : metadata.annotations?.[resetSessionAt],
  }
  const hash = desiredHashOf(wish, settings.hashKey)
  const specHash = hash.text
  const reset = resetOf(specHash)
  const intent: WorkspaceIntent = {
    id: workspaceId(metadata.uid),
    ownerUid: metadata.uid,
    namespace,
    resourceName: metadata.name,
    generation: metadata.generation,
    displayName,
    role: role === '' ? undefined : role,
    parentOwnerUid: parent.kind === 'found' ? parent.uid : undefined,
    keepsParent: parent.kind === 'gone',
    tier,
    runtime: agent.runtime,
    model,
    backend,
    template,
    specHash,
    workspaceDir: spec.workspaceDir,
    workspaceAccess: spec.workspaceAccess,
    deliveryMode: spec.delivery,
    maxConcurrentTasks: spec.maxConcurrentTasks,
    updateTier: spec.updateRing,
    canvas: spec.canvas,
    initialPhase: backend === 'external' ? 'awaiting_agent' : 'provisioning',
    deletionPolicy: spec.deletionPolicy,
    claim: claimOf(spec.adopt),
    ...(spec.adopt?.workspaceID !== undefined && { adopts: workspaceId(spec.adopt.workspaceID) }),
  }
  return {
    intent,
    hash,
    runtime: runtime.whole,
    bootDeadline: parseDuration(runtime.spec.bootDeadline),
    image,
    template: choices.template,
    parentFound: parent.kind === 'none' ? undefined : parent.kind === 'found',
    withheld: withheldOf(settings.tiers, tier, namespace),
    noSessions: whyNoSessions({
      runtime: agent.runtime,
      sessionsPath,
      tier,
      sealed: limits.readOnlyRoot && !imageless.has(backend),
      external: backend === 'external',
    }),
    redact: redactor(gathered.secrets),
    instance: {
      ref: refOf(workspace),
      specHash,
      image: image ?? '',
      runtime: agent.runtime,
      limits,
      ...(hostFolder !== undefined && { hostFolder }),
      ...(platform !== undefined && { platform }),
      ...(sessionsPath !== undefined && { sessionsPath }),
      ...(reset !== undefined && { sessionReset: reset }),
      ...(spec.adopt && { adopted: {} }),
      files: [...withConfig(gathered.files, agent)],
      env: {
        PLUGINS_DIR: '/plugins',
        PYTHONPATH: '/app',
        MODEL: model,
        MOLECULE_MODEL: model,
        ...(agent.runtime === 'hermes' && { HERMES_DEFAULT_MODEL: model }),
        ...gitIdentity(displayName, metadata.name),
        ...asked,
        // Last, so that no spec can make an agent speak for another or to another operator.
        WORKSPACE_NAME: displayName,
        TIER: String(tier),
        PLATFORM_URL: settings.platformUrl,
        MOLECULE_URL: settings.platformUrl,
      },
    },
  }
}

/** What is desired, once it is known which rows are its own and its parent's: an id that a spec names proves neither. */
export function ofRow(desired: Desired, row: Pick<WorkspaceRow, 'id' | 'parentId' | 'legacy'>): Desired {
  const { PARENT_ID: _, ...env } = desired.instance.env
  const parentId = desired.parentFound === true ? row.parentId : undefined
  const ids = { WORKSPACE_ID: row.id, ...(parentId !== undefined && { PARENT_ID: parentId }) }
  // What the system before kept is found by the id of the row, which only a row that came from there may name.
  const adopted = desired.intent.claim === 'adopt' && row.legacy && { adopted: { row: row.id } }
  return { ...desired, instance: { ...desired.instance, env: { ...env, ...ids }, ...adopted } }
}

const overQuota = ({ metadata }: Workspace, limit: number): Obstacle => ({
  condition: 'Recorded',
  reason: 'QuotaExceeded',
  message: `namespace ${metadata.namespace ?? ''} has more than ${limit} Workspaces, and only the oldest ${limit} are acted on: delete others, or ask for a higher MAX_WORKSPACES_PER_NAMESPACE`,
  waits: false,
})

const byFirst = ([a]: readonly [string, ...unknown[]], [b]: readonly [string, ...unknown[]]) => (a < b ? -1 : 1)

function claimOf(adopt: Workspace['spec']['adopt']): WorkspaceIntent['claim'] {
  if (adopt?.workspaceID === undefined) return 'create'
  return adopt.policy === 'AdoptOnly' ? 'adopt' : 'adoptOrCreate'
}

/** The agent's configuration as the spec gives it, else as generated. */
function* withConfig(files: readonly InstanceFile[], agent: AgentConfig): Iterable<InstanceFile> {
  yield* files
  if (!files.some(({ path }) => path === 'config.yaml'))
    yield { path: 'config.yaml', content: renderAgentConfig(agent) }
}

/** The parent, once no cycle leads back here. One that is gone is no obstacle to a child that it once had. */
function parentOf(workspace: Workspace, sibling: Surroundings['sibling']): Parent | Obstacle {
  const own = workspace.metadata.name
  const above = workspace.spec.parentRef?.name
  if (above === undefined) return { kind: 'none' }
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
  return parent === undefined ? { kind: 'gone' } : { kind: 'found', uid: parent.metadata.uid }
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
    unread: lacks.some(({ reason }) => reason === 'Waiting'),
  }
}
