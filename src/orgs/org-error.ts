import { cut, oneLine } from '../text.ts'

/** What can be wrong with a template; also the reasons of the condition TemplateParsed. */
export type OrgErrorCode =
  | 'SourceInvalid' // the file set itself: a bad path, no org.yaml
  | 'SyntaxError' // not YAML
  | 'IncludeMissing'
  | 'IncludeEscape'
  | 'IncludeCycle'
  | 'ExternalMissing' // a repository that the template refers to and that was not brought
  | 'DepthExceeded'
  | 'TooLarge'
  | 'InvalidField'
  | 'FileMissing' // files_dir or a prompt file that is not there, with spec.strict
  | 'DuplicateSibling'
  | 'DuplicateId'

/** Steps from the top of the template to a value: `workspaces`, 0, `name`. */
export type Path = readonly PropertyKey[]

/** Where a value stands. Lines and columns count from 1. */
export interface Place {
  readonly file: string
  readonly line: number
  readonly column: number
  /** The includes that led here, outermost first: `org.yaml:8:5`. */
  readonly includedFrom: readonly string[]
}

export const showPlace = ({ file, line, column }: Place): string => `${file}:${line}:${column}`

/** A template that cannot be used. The message is one line: where, what, and through which includes. */
export class OrgError extends Error {
  override readonly name = 'OrgError'
  readonly code: OrgErrorCode
  place: Place | undefined
  /** What else a person should know of the template that is refused. */
  warnings: readonly OrgWarning[] = []

  constructor(code: OrgErrorCode, message: string, place?: Place, options?: ErrorOptions) {
    super(shown(place === undefined ? message : located(message, place)), options)
    this.code = code
    this.place = place
  }
}

/** Several at once (faults.ts): the code and the place are of the first. */
export class OrgErrors extends OrgError {
  constructor(first: OrgError, message: string) {
    super(first.code, first.message)
    this.message = message
    this.place = first.place
  }
}

const longest = 1000

/** Templates are quoted in messages: what would move a cursor or fill a log is not let through. */
export const shown = (text: string): string => cut(oneLine(text), longest)

function located(message: string, place: Place): string {
  const chain =
    place.includedFrom.length === 0 ? '' : ` (included from ${place.includedFrom.toReversed().join(', from ')})`
  return `${showPlace(place)}: ${message}${chain}`
}

/** What a person should know of a template and that does not stop the import. */
export type OrgWarningCode =
  // said and not done
  | 'UnknownKey'
  | 'UnquotedOptOut'
  | 'IneffectiveOptOut'
  | 'IneffectiveField'
  | 'IneffectiveWorkspaceDir'
  | 'IgnoredCanvas'
  | 'EmptyElement'
  | 'ExtraDocuments'
  | 'FileSkipped'
  | 'FileMissing'
  | 'ScheduleSkipped'
  | 'ChannelSkipped'
  | 'MemorySkipped'
  | 'PluginConfigSkipped'
  // done in another way than said
  | 'Yaml11Boolean'
  | 'RoleCut'
  | 'MemoryCut'
  | 'DuplicateName'
  // done, and perhaps not meant
  | 'DanglingRoute'
  | 'SharedChannelToken'
  | 'OverlappingRoots'
  | 'UnknownNode'
  | 'MissingRecommendedEnv'

export interface OrgWarning {
  readonly code: OrgWarningCode
  /** A node's path, or a file and line; empty when it concerns the whole template. */
  readonly path: string
  /** Ends with the place in the source where that is known and not in `path`. */
  readonly message: string
}
