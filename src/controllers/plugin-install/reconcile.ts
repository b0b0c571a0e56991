/**
 * The way of a PluginInstall as long as nothing is installed: it says so, loudly, and lets go when it is deleted (its
 * finalizer is there from birth).
 */
import { unsupportedFields, type PluginInstall, type PluginInstallStatus } from '../../api/plugin-install.ts'
import type { Context, Reconciler, Verdict } from '../../kube/reconciler.ts'

export class PluginInstallReconciler implements Reconciler<PluginInstall> {
  async reconcile(install: PluginInstall, ctx: Context): Promise<Verdict<PluginInstallStatus>> {
    if (install.metadata.deletionTimestamp !== undefined) await ctx.release()
    const summary = 'Not acted on yet: this operator installs no plugins'
    const message = `nothing follows from ${unsupportedFields(install.spec).join(', ')}`
    return {
      status: {
        summary,
        conditions: [
          { type: 'Ready', status: 'False', reason: 'NotActedOnYet', message: summary },
          { type: 'Unsupported', status: 'True', reason: 'NotActedOnYet', message },
        ],
        transition: { to: 'unsupported', reason: 'NotActedOnYet', actor: 'operator' },
      },
      // Nothing that waits will come of it: programs that wait are told so.
      outcome: { kind: 'blocked', reason: 'NotActedOnYet', message: summary },
    }
  }
}
