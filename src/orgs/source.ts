/** What a template is read from. */
import { expand, type Expanded, type Hosts } from './expand.ts'
import type { External } from './externals.ts'
import type { OrgWarning } from './org-error.ts'
import type { Faults } from './faults.ts'
import { FileTree, type Sources } from './file-tree.ts'

export type OrgSource =
  /** A folder: paths and texts. `externals`: by `External.folder`, the files of each repository that it refers to. */
  | {
      readonly kind: 'files'
      readonly files: Sources
      readonly entry: string
      /** Where repositories are that `!external` names without a host. */
      readonly hosts?: Hosts
      /** What is in the folder and not among the files, to why: `it is a symbolic link`. */
      readonly skipped?: ReadonlyMap<string, string>
      readonly externals?: ReadonlyMap<string, Sources>
    }
  /** The template itself, already plain. */
  | { readonly kind: 'inline'; readonly template: unknown }

export interface SourceRead extends Expanded {
  readonly files: FileTree
}

/** Throws an OrgError; with `faults`, they hold what could not be read. */
export function readSource(source: OrgSource, faults?: Faults): SourceRead {
  if (source.kind === 'files') {
    const files = new FileTree(source.files, source.externals, source.skipped)
    const read = expand(files, source.entry, source.hosts, faults)
    const left = files.skipped.map(([path, why]): OrgWarning => ({
      code: 'FileSkipped',
      path,
      message: `${why}: left out`,
    }))
    return { ...read, files, warnings: [...read.warnings, ...left] }
  }
  const files = new FileTree(new Map())
  return { value: source.template, placeOf: () => undefined, warnings: [], parsed: new Set(), needs: [], files }
}

/**
 * The repositories that the template refers to (`!external`) and that `source.externals` does not hold. Whoever reads
 * sources brings them and asks again, for they may refer to others, until nothing is needed. Throws an OrgError.
 */
export function externalsNeeded(source: OrgSource): readonly External[] {
  if (source.kind === 'inline') return []
  // Reading the template costs; nearly none refers to another.
  const mentioned = (files: Sources) => [...files.values()].some((text) => text.includes('!external'))
  return mentioned(source.files) ? readSource(source).needs : []
}
