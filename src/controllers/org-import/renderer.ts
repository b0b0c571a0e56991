/** Renders templates, once for each version of a source: passes follow every child, and templates can be long. */
import type { OrgImport } from '../../api/org-import.ts'
import type { OrgImportReason } from '../../api/reasons.ts'
import { OrgError, type OrgWarning } from '../../orgs/org-error.ts'
import { renderOrg, type RenderedOrg } from '../../orgs/tree.ts'
import type { Obstacle } from './obstacle.ts'
import type { SourceRead } from './source-read.ts'

/** Why nothing is made of a template, and what else was odd about it. */
export interface Refusal extends Obstacle {
  readonly warnings: readonly OrgWarning[]
}

export class Renderer {
  readonly #last = new Map<string, { readonly of: string; readonly result: RenderedOrg | Refusal }>()

  render({ metadata, spec }: OrgImport, { source, identity }: SourceRead): RenderedOrg | Refusal {
    const of = JSON.stringify([identity, spec.exclude, spec.strict])
    const last = this.#last.get(metadata.uid)
    if (last?.of === of) return last.result
    const result = tryRender(() =>
      renderOrg(source, { importUid: metadata.uid, exclude: spec.exclude, strict: spec.strict }),
    )
    this.#last.set(metadata.uid, { of, result })
    return result
  }

  forget(uid: string): void {
    this.#last.delete(uid)
  }
}

function tryRender(render: () => RenderedOrg): RenderedOrg | Refusal {
  try {
    return render()
  } catch (error) {
    if (!(error instanceof OrgError)) throw error
    const reason: OrgImportReason = error.code
    const condition = reason === 'SourceInvalid' ? 'SourceReady' : 'TemplateParsed'
    return { condition, reason, message: error.message, waits: false, warnings: error.warnings }
  }
}
