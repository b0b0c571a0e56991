/** What an import writes on all that it makes, to know it again. */
import { group } from '../../api/meta.ts'

/** On everything an import made: its metadata.uid. */
export const importLabel = `${group}/org-import`
/** On a child: digest of what was applied last. */
export const digestAnnotation = `${group}/applied-digest`
/** On a child: the path of its node. */
export const nodeAnnotation = `${group}/org-node`
/** On a child: the stable id of its node, where the template gives one. */
export const idAnnotation = `${group}/org-node-id`
/** On a child: fields that other field managers hold, as `tier=bob model=alice`. */
export const othersAnnotation = `${group}/held-by-others`
