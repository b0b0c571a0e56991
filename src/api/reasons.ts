/**
 * Every condition type and reason of the kinds that a controller acts on. Types are adjectives or participles that are good
 * when True (but for Reconciling, Stalled, Unsupported and PruneBlocked, which exist only while True); reasons are CamelCase and
 * never change their meaning, since alerts and scripts compare them. Each is declared here with a sentence, from which
 * docs/reasons.md is printed, and each is given somewhere: a test reads the source for both.
 */

/** In every kind. `Reconciling` and `Stalled` as kstatus defines them. */
type CommonCondition = 'Ready' | 'Reconciling' | 'Stalled' | 'Unsupported'

export type WorkspaceCondition =
  | CommonCondition
  /** The row carries this generation. */
  | 'Recorded'
  | 'RuntimeResolved'
  /** The parent's row is there; only where a parent is asked for. */
  | 'ParentFound'
  /** The instance runs with the desired state. */
  | 'Launched'
  /** The agent registered and beats. */
  | 'Connected'
  /** What runs is as far apart from others as one launched now; only while it is not. */
  | 'Isolated'
  | 'ImageCurrent'
  /** Schedules, channels, memories and the like have their rows; only where the spec has any. */
  | 'PartsRecorded'
  /** The template of an adopted row is known; only where it is not. */
  | 'TemplateKnown'
  /** An end set in advance is less than an hour away; only while true. */
  | 'Expiring'
  /** The tier means more than the operator's configuration allows; only while true. */
  | 'Downgraded'
  /** Tasks are at work, but no message has come or gone for long; only while true. */
  | 'BusyTooLong'
  /** Its files take more disk than its tier allows; only while true. */
  | 'DiskExceeded'

export type OrgImportCondition =
  | CommonCondition
  | 'SourceReady'
  | 'TemplateParsed'
  | 'EnvironmentReady'
  | 'Applied'
  | 'Provisioned'
  /** A plan deletes so much that it waits for a person; exists only while true. */
  | 'PruneBlocked'

export type RuntimeCondition = CommonCondition | 'Resolved' | 'ImageCurrent'

/** Reason to the sentence that explains it. */
type Reasons = Readonly<Record<string, string>>

/** Reasons that any kind may give. */
const commonReasons = {
  Settled: 'It is what spec and power ask.',
  Progressing: 'It is on its way to what the spec asks.',
  Retrying: 'A pass met an error, which the message has, and is tried again with growing pauses.',
  Suspended: '`spec.suspend` is true: the operator keeps its hands off.',
  Deleting: 'It is being deleted; the message says what is waited for.',
  NotActedOnYet: 'The spec asks for something that no controller acts on yet.',
  DatabaseUnavailable: 'PostgreSQL does not answer, or takes no statements: all goes on by itself when it does.',
  DatabaseBusy:
    'PostgreSQL answers, but too slowly, or all of the operator’s connections are in use: it is tried again.',
  QuotaExceeded: 'A limit of the namespace, or of all, is reached: the message names it.',
  InvalidSpec: 'The spec asks for what cannot be; the message names the field.',
} as const satisfies Reasons

export const workspaceReasons = {
  ...commonReasons,
  Recorded: 'The row carries this generation.',
  OutOfDate:
    'The row belongs to another resource, or carries a newer generation: the pass is repeated with a newer version of the object.',
  RowTaken:
    'Another Workspace adopted the row while this one was deleted, and the API server was put back from a backup since: delete this one and create it anew.',
  Found: 'The parent has a row.',
  Waiting: 'The parent is not running yet, or has no row yet: it passes by itself.',
  ParentMissing: 'The Workspace that `spec.parentRef` names does not exist.',
  ParentCycle: 'The Workspace is above itself; the message names the members of the cycle.',
  AsAsked: 'Power is as `spec.power` asks.',
  AncestorPaused: 'An ancestor is paused, and all below it with it.',
  SiblingNameTaken: 'Another child of the same parent has this name; the message says which.',
  RuntimeFound: 'The Runtime exists and knows the model.',
  RuntimeUnknown: 'The Runtime that is named does not exist.',
  NoDefaultRuntime: 'No runtime is named, and no Runtime is the default.',
  AmbiguousDefaultRuntime: 'No runtime is named, and several Runtimes are the default.',
  ModelUnknown: 'The Runtime does not list the model.',
  BackendNotConfigured: 'The backend is not among the BACKENDS of the operator.',
  BackendUnreachable: 'The backend does not answer. Nothing is touched until it does.',
  SecretMissing: 'A Secret that is referred to does not exist.',
  SecretForbidden: 'The operator may not read a Secret: the message says which RoleBinding or label is missing.',
  ConfigMapMissing: 'A ConfigMap that is referred to does not exist.',
  ConfigMapForbidden: 'The operator may not read a ConfigMap: the message says which RoleBinding is missing.',
  KeyMissing: 'A Secret or ConfigMap that is referred to lacks the key.',
  ScheduleInvalid: 'A cron expression or time zone that cannot be read: the schedule never runs.',
  ScheduleNameTaken: 'The agent has a schedule of its own by this name.',
  ChannelInvalid: 'The settings of a channel cannot be read.',
  SecretsKeyMissing: 'Credentials are kept sealed only, and the operator has no SECRETS_KEY.',
  RequiredEnvMissing: 'A variable that the Runtime or the model requires has no value.',
  HostAccessRefused: 'A folder of the host that the spec asks for is not one that this namespace may use.',
  SharedNetwork: 'It runs on a network that other agents share: it was launched before each namespace had its own.',
  AdoptedInstance: 'It runs on the network of the system before.',
  NoInboundSecret: "It was launched without the secret that the operator's calls carry.",
  HostNetwork: 'Its tier opens the network of the host.',
  NetworkPoolExhausted:
    'The networks of DOCKER_SUBNETS are used up: a pool that is larger, or an agent that goes, helps.',
  DiskLimitExceeded: 'Its files take more disk than its tier allows.',
  MetadataReachable:
    'The engine leaves out the addresses that keep an agent from the credentials of its machine: nothing is started on it.',
  Starting: 'The instance is being started; the message says what it waits for.',
  Running: 'The instance runs with the desired state.',
  Stopping: 'The instance is being stopped.',
  NoSessions:
    '`molecule.dev/reset-session-at` empties nothing, since the agent keeps no sessions; the message says why.',
  Replacing: 'The instance is being replaced, since what it was started with changed.',
  Paused: 'It is paused: there is no instance, and none is expected.',
  Hibernated: 'It is asleep: there is no instance, and a message or schedule wakes it.',
  Idle: 'It sleeps, or falls asleep: no task and no message came for `idleAfter`.',
  Resumed: 'It runs again after a pause or sleep.',
  External: 'The agent is run by its owner: there is nothing to launch.',
  ImageMissing: 'The image does not exist where it would be pulled from, or is not on the Docker host.',
  LaunchFailed: 'The instance cannot be launched; the message says what was refused.',
  BootDeadlineExceeded: 'The agent did not register in time; the message says with which address, and its last words.',
  InstanceExited: 'The instance ended by itself; the message has its last words.',
  BackingOff: 'The launch failed, and is tried again after a wait.',
  Registered: 'The agent is registered and beats.',
  AwaitingRegistration: 'The agent has not registered yet; the message says at which address it was told to.',
  NotRegistered: 'It beats, but has not registered, or its registration was refused; the message says why.',
  HeartbeatLost: 'The agent has fallen silent.',
  NoProgress: 'It was at work for longer than its runtime allows, without a message: it is started anew.',
  AgentDegraded: 'The agent beats, but says that it fails.',
  ImageCurrent: 'It runs the image that the Runtime asks for.',
  ImageStale: 'It runs an older image; the message says what the newer one waits for.',
  ImageUnknown: 'Nothing runs whose image could be compared.',
  ImageUnavailable: 'The image that the Runtime asks for cannot be had: what runs is left alone.',
  ImageUnauthorized: 'The registry refuses the image to the Docker host.',
  WaitsForIdle: 'A replacement waits for the end of a task.',
  WaitsForRestart: 'A replacement waits for a restart that somebody asks for.',
  WaitsForCanaries: 'A new image waits for the canaries of the Runtime.',
  WaitsForOthers: 'A replacement waits for another Workspace of the Runtime to be up again.',
  TemplateUnknown: 'The template of an adopted row is not known: `spec.template.ref` names it.',
  SeedMismatch: 'A file of the spec is for another runtime.',
  AgentOwnedPath: "`spec.files` names a path that is the agent's own.",
  ForbiddenKey: 'A Secret brings a variable that no agent may have.',
  NothingToAdopt: 'There is no row or container yet that this namespace may adopt.',
  AdoptionRefused: 'What `spec.adopt` names may not be taken over; the message says why.',
  Expired: 'Its lifetime is over.',
  LifetimeEnds: 'Its lifetime is over within the hour.',
  NoTraffic: 'A task is at work, but no message has come or gone for long.',
  NameTaken: "A container, volume or network of the name that the instance needs exists, and is not this operator's.",
  StartRefused: 'The Docker engine refuses to start the instance; the message has its words.',
  InvalidFile: 'A file of the spec cannot be put into the instance.',
  InvalidEnvironment: 'A variable has a name or value that no process can be given.',
  InvalidUid: 'The UID of the object cannot be part of a name.',
  RowRefused: 'PostgreSQL refuses a value of the row; the message says which.',
} as const satisfies Reasons
export type WorkspaceReason = keyof typeof workspaceReasons

export const orgImportReasons = {
  ...commonReasons,
  SourceRead: 'The template was read.',
  SourceMissing: 'What `spec.source` names does not exist.',
  SourceForbidden: 'The operator may not read the source: the message says which RoleBinding is missing.',
  SourceTooLarge: 'The source is larger than its limit.',
  SourceInvalid: 'The source cannot be read: the message names the entry and the rule.',
  SourceNotSupported: 'The source asks for something that the operator does not do.',
  SourceUnreachable: 'The host of the source answers nothing, or nothing in time.',
  SourceNotReady: 'Flux has not made the artifact yet.',
  AuthFailed: 'The host of the source refuses the credentials.',
  NotAllowed: "The operator's configuration does not allow the host, the scheme or the address.",
  VerificationFailed: 'The commit lacks a signature that `spec.source.git.verify` asks for.',
  Parsed: 'The template was read whole.',
  SyntaxError: 'A file of the template is no YAML; the message names the line.',
  InvalidField: 'A key of the template has a value that it cannot have; the message names the line.',
  IncludeMissing: 'A file that is included does not exist.',
  IncludeCycle: 'A file includes itself.',
  IncludeEscape: 'An include leads out of the template.',
  ExternalMissing: 'A repository that the template names was not brought.',
  DepthExceeded: 'Includes, or the tree, are too deep.',
  TooLarge: 'The template is larger than a limit; the message names it.',
  DuplicateSibling: 'Two children of one node have the same name.',
  DuplicateId: 'Two nodes have the same id.',
  FileMissing: 'A folder or prompt file that a node names is not in the source.',
  EnvironmentComplete: 'Every variable that the template requires has a value.',
  RequiredEnvMissing: 'A variable that the template requires has no value; the message names it and the node.',
  SecretMissing: 'A Secret that is referred to does not exist.',
  SecretForbidden: 'The operator may not read a Secret: the message says which RoleBinding or label is missing.',
  ConfigMapMissing: 'A ConfigMap that is referred to does not exist.',
  ConfigMapForbidden: 'The operator may not read or write a ConfigMap: the message says which RoleBinding is missing.',
  ForbiddenKey: 'A Secret brings a variable that no whole tree, or no agent, may have.',
  RuntimeUnknown: 'A node names a runtime that the catalog does not have.',
  ModelUnknown: 'A node asks for a model that its runtime does not list.',
  ParentMissing: 'The Workspace that `spec.target.parentRef` names does not exist.',
  Applied: 'Every node has its Workspace as the template says.',
  ApplyFailed: 'A Workspace could not be applied; the message has what the API server said.',
  Conflict: "Something of the same name is another's; the message says whose.",
  Provisioned: 'Every Workspace is Ready.',
  Provisioning: 'Workspaces are on their way.',
  NodeFailed: 'A Workspace of the import has failed, or a person has to mend it; the message names it.',
  NodeNotReady: 'A Workspace of the import came up and is not there now; the message names it.',
  NodeSuspended: '`spec.suspend` of a Workspace of the import is true; the message names it.',
  PlanBlocked: 'The plan waits for `spec.approvedPlan`.',
  TooManyDeletes: 'The plan deletes more than it may without a person.',
  DryRun: '`spec.dryRun` is true: the plan is shown, and nothing done.',
} as const satisfies Reasons
export type OrgImportReason = keyof typeof orgImportReasons

export const runtimeReasons = {
  ...commonReasons,
  Resolved: 'The Runtime can be used.',
  AmbiguousDefaultRuntime: 'Several Runtimes are the default.',
  InUse: 'It is deleted once no Workspace uses it any more.',
  ImageCurrent: 'No Workspace of it runs another image.',
  ImageStale: 'Workspaces of it still run another image.',
} as const satisfies Reasons
export type RuntimeReason = keyof typeof runtimeReasons

export const pluginInstallReasons = { NotActedOnYet: commonReasons.NotActedOnYet } as const satisfies Reasons

/** Of events that no condition repeats. */
export const eventReasons = {
  InstanceAdopted: 'A running container was taken over without a restart.',
  Imported: 'An import was applied: how many Workspaces it made, changed and took over.',
  NodeCreated: 'The Workspaces that an import made.',
  NodeAdopted: 'The Workspaces that an import took over.',
  Scheduled: 'The schedules of the Workspaces that an import made.',
  Pruned: 'The Workspaces that an import deleted, since they left the template.',
  OrphanKept: 'Workspaces left the template and stay, as `spec.prune` asks.',
  PreflightFailed: 'An import stopped before it made anything; the message says why.',
  TagMoved: 'A tag of a repository that a template refers to by `!external` points at another commit than before.',
  InstanceLeaked:
    'A deletion gave up on an instance whose backend did not answer: it is written down in `leaked_instances`.',
  SessionsReset: 'The sessions of an agent were emptied, as `molecule.dev/reset-session-at` asks.',
  RestartContextDropped: 'An agent was not told of its restart; the message says why.',
  OrphanFound: 'Something without its Workspace is left over and was not removed.',
  OrphanRemoved: 'Something without its Workspace was removed.',
} as const satisfies Reasons
