/** What can be wrong with a template; also the reasons of the condition TemplateParsed. */
export type OrgErrorCode =
  | 'SourceInvalid' // the file set itself: a bad key, no org.yaml
  | 'SyntaxError' // not YAML
  | 'IncludeMissing'
  | 'IncludeEscape'
  | 'IncludeCycle'
  | 'DepthExceeded'
  | 'TooLarge'
  | 'InvalidField'
  | 'FileMissing' // files_dir or a prompt file that is not there
  | 'DuplicateSibling'

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
  readonly place: Place | undefined

  constructor(code: OrgErrorCode, message: string, place?: Place, options?: ErrorOptions) {
    super(place === undefined ? message : located(message, place), options)
    this.code = code
    this.place = place
  }
}

function located(message: string, place: Place): string {
  const chain =
    place.includedFrom.length === 0 ? '' : ` (included from ${place.includedFrom.toReversed().join(', from ')})`
  return `${showPlace(place)}: ${message}${chain}`
}

/** Something a person should know that does not stop the import. */
export interface OrgWarning {
  readonly code:
    | 'UnknownKey'
    | 'UnquotedOptOut'
    | 'EmptyElement'
    | 'ExtraDocuments'
    | 'FileSkipped'
    | 'RoleCut'
    | 'IneffectiveWorkspaceDir'
    | 'IneffectiveCanvas'
    | 'UnknownNode'
    | 'MissingRecommendedEnv'
    | 'NotSupportedYet'
  /** A node's path, or a file and line; empty when it concerns the whole template. */
  readonly path: string
  readonly message: string
}
