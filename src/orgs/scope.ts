/** What the parts of a node are made from. */
import type { OrgNode as TemplateNode } from '../api/org-template.ts'
import type { Refuse } from './check.ts'
import type { Faults } from './faults.ts'
import type { FileTree } from './file-tree.ts'
import type { Effective } from './merge.ts'
import type { Path } from './org-error.ts'
import type { Warnings } from './warnings.ts'

export interface Scope {
  readonly node: TemplateNode
  readonly merged: Effective
  /** Of the node, in the template. */
  readonly at: Path
  /** Of the node, for people: names from the root. */
  readonly path: string
  /** Its `files_dir`, worked out; files of the node are seen from there. */
  readonly folder: string | undefined
  readonly files: FileTree
  /** Files that are part of the template itself. */
  readonly parsed: ReadonlySet<string>
  /** Those of them that stand in a role folder, as they are met: they are not delivered. */
  readonly undelivered: Set<string>
  /** Whether what is named and not there refuses the template. */
  readonly strict: boolean
  readonly refuse: Refuse
  /** Keeps a mistake and goes on, so that all are told at once. */
  readonly attempt: Faults['attempt']
  readonly warnings: Warnings
}
