/**
 * Every condition type and reason of the kinds that a controller acts on. Types are adjectives or participles that are good
 * when True (but for Reconciling, Stalled, Unsupported and PruneBlocked, which exist only while True); reasons are CamelCase and
 * never change their meaning, since alerts and scripts compare them.
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
  | 'PluginsMaterialized'
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

/** Reasons that any kind may give. */
type CommonReason =
  /** Converged to what spec and power ask. */
  | 'Settled'
  | 'Progressing'
  /** spec.suspend is true. */
  | 'Suspended'
  | 'Deleting'
  /** The spec asks for something that no controller acts on yet. */
  | 'NotActedOnYet'
  | 'DatabaseUnavailable'
  /** A limit of the namespace, or of all, is reached. */
  | 'QuotaExceeded'
  | 'InvalidSpec'
  | 'InternalError'

export type WorkspaceReason =
  | CommonReason
  | 'Recorded'
  | 'Removed'
  /** The row belongs to another resource, or carries a newer generation. */
  | 'OutOfDate'
  | 'Found'
  | 'Waiting'
  | 'ParentMissing'
  | 'ParentCycle'
  | 'AncestorPaused'
  | 'SiblingNameTaken'
  | 'RuntimeFound'
  | 'RuntimeUnknown'
  | 'NoDefaultRuntime'
  | 'AmbiguousDefaultRuntime'
  | 'RuntimeSuspended'
  | 'DigestRequired'
  | 'ModelUnknown'
  | 'BackendNotConfigured'
  | 'BackendUnreachable'
  | 'BackendCapacity'
  | 'SecretMissing'
  | 'SecretForbidden'
  | 'ConfigMapMissing'
  | 'ConfigMapForbidden'
  | 'KeyMissing'
  /** A cron expression or time zone that cannot be read: the schedule never runs. */
  | 'ScheduleInvalid'
  /** The agent has a schedule of its own by this name. */
  | 'ScheduleNameTaken'
  | 'ChannelInvalid'
  /** Credentials are kept sealed only, and the operator has no key. */
  | 'SecretsKeyMissing'
  | 'RequiredEnvMissing'
  | 'HostAccessRefused'
  /** It runs on a network that other agents share: it was launched before each namespace had its own. */
  | 'SharedNetwork'
  /** It runs on the network of the system before. */
  | 'AdoptedInstance'
  /** It was launched without the secret that the operator's calls carry. */
  | 'NoInboundSecret'
  /** Its tier opens the network of the host. */
  | 'HostNetwork'
  /** The networks of DOCKER_SUBNETS are used up. */
  | 'NetworkPoolExhausted'
  | 'DiskLimitExceeded'
  /** The engine leaves out the addresses that keep an agent from the credentials of its machine. */
  | 'MetadataReachable'
  | 'Starting'
  | 'Running'
  | 'Stopping'
  | 'Replacing'
  | 'Paused'
  | 'Hibernated'
  | 'External'
  | 'ImageMissing'
  | 'LaunchFailed'
  | 'BootDeadlineExceeded'
  | 'InstanceExited'
  | 'BackingOff'
  | 'Registered'
  | 'AwaitingRegistration'
  /** It beats, but has not registered, or was refused. */
  | 'NotRegistered'
  | 'HeartbeatLost'
  /** It was at work for longer than its runtime allows, without a message. */
  | 'NoProgress'
  | 'AgentDegraded'
  | 'ImageCurrent'
  | 'ImageStale'
  | 'ImageUnknown'
  | 'ImageUnavailable'
  | 'ImageUnauthorized'
  | 'WaitsForIdle'
  | 'WaitsForRestart'
  | 'WaitsForCanaries'
  | 'WaitsForOthers'
  | 'NoPlugins'
  | 'NoTemplate'
  | 'TemplateUnknown'
  | 'SeedMismatch'
  | 'AgentOwnedPath'
  | 'ForbiddenKey'
  | 'NothingToAdopt'
  | 'AdoptionRefused'
  | 'Expired'
  | 'LifetimeEnds'
  | 'NoTraffic'
  | 'Cascading'

export type OrgImportReason =
  | CommonReason
  | 'SourceRead'
  | 'SourceMissing'
  | 'SourceForbidden'
  | 'SourceTooLarge'
  | 'SourceInvalid'
  | 'SourceNotSupported'
  /** The host answers nothing, or nothing in time. */
  | 'SourceUnreachable'
  /** Flux has not made it yet. */
  | 'SourceNotReady'
  | 'AuthFailed'
  /** The operator's configuration does not allow the host, the scheme or the address. */
  | 'NotAllowed'
  /** The commit lacks a signature that spec.source.git.verify asks for. */
  | 'VerificationFailed'
  | 'Parsed'
  | 'SyntaxError'
  | 'InvalidField'
  | 'IncludeMissing'
  | 'IncludeCycle'
  | 'IncludeEscape'
  | 'ExternalMissing'
  | 'DepthExceeded'
  | 'TooLarge'
  | 'DuplicateSibling'
  | 'DuplicateId'
  | 'FileMissing'
  | 'EnvironmentComplete'
  | 'RequiredEnvMissing'
  | 'SecretMissing'
  | 'SecretForbidden'
  | 'ConfigMapMissing'
  | 'ConfigMapForbidden'
  | 'ForbiddenKey'
  /** A node names a runtime that the catalog does not have. */
  | 'RuntimeUnknown'
  | 'ParentMissing'
  | 'Applied'
  | 'ApplyFailed'
  | 'Conflict'
  | 'Provisioned'
  | 'Provisioning'
  | 'NodeFailed'
  /** The plan waits for spec.approvedPlan. */
  | 'PlanBlocked'
  /** It deletes more than it may without a person. */
  | 'TooManyDeletes'
  | 'DryRun'

export type RuntimeReason =
  CommonReason | 'Resolved' | 'DigestRequired' | 'AmbiguousDefaultRuntime' | 'InUse' | 'ImageCurrent' | 'ImageStale'
