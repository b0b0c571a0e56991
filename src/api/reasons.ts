/**
 * Every condition type and reason of the kinds that a controller acts on. Types are adjectives or participles that are good
 * when True (but for Reconciling, Stalled and Unsupported, which exist only while True); reasons are CamelCase and
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
  | 'ImageCurrent'
  | 'PluginsMaterialized'
  | 'TemplateKnown'

export type OrgImportCondition =
  CommonCondition | 'SourceReady' | 'TemplateParsed' | 'EnvironmentReady' | 'Applied' | 'Provisioned'

export type RuntimeCondition = CommonCondition | 'Resolved'

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
  | 'RequiredEnvMissing'
  | 'HostAccessRefused'
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
  | 'HeartbeatLost'
  | 'AgentDegraded'
  | 'ImageCurrent'
  | 'ImageStale'
  | 'ImageUnknown'
  | 'NoPlugins'
  | 'NoTemplate'
  | 'TemplateUnknown'

export type OrgImportReason =
  | CommonReason
  | 'SourceRead'
  | 'SourceMissing'
  | 'SourceForbidden'
  | 'SourceTooLarge'
  | 'SourceInvalid'
  | 'SourceNotSupported'
  | 'Parsed'
  | 'SyntaxError'
  | 'InvalidField'
  | 'IncludeMissing'
  | 'IncludeCycle'
  | 'IncludeEscape'
  | 'DepthExceeded'
  | 'TooLarge'
  | 'DuplicateSibling'
  | 'FileMissing'
  | 'EnvironmentComplete'
  | 'RequiredEnvMissing'
  | 'SecretMissing'
  | 'SecretForbidden'
  | 'ConfigMapMissing'
  | 'ConfigMapForbidden'
  | 'ForbiddenKey'
  | 'ParentMissing'
  | 'Applied'
  | 'ApplyFailed'
  | 'Conflict'
  | 'Provisioned'
  | 'Provisioning'
  | 'NodeFailed'
  | 'PlanBlocked'
  | 'DryRun'

export type RuntimeReason = CommonReason | 'Resolved' | 'DigestRequired' | 'AmbiguousDefaultRuntime' | 'InUse'
