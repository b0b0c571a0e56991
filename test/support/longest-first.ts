/** Order of the files of a run: what takes longest begins first, so that the workers end at about the same time. */
import { relative } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/**
 * Files that take more than forty seconds, the longest first, as measured on two cores. A fresh clone has no durations of
 * an earlier run, which vitest would go by. A file that is missing here begins late: that costs time and nothing else.
 */
const longest: readonly string[] = [
  'test/gitops/verdicts.test.ts',
  'test/e2e/demo.test.ts',
  'test/tenants/tenants.test.ts',
  'test/e2e/outages.test.ts',
  'test/faults/restored.test.ts',
  'test/docker/image.test.ts',
  'test/faults/crash.test.ts',
  'test/e2e/guest.test.ts',
  'test/api/leaves.test.ts',
  'test/docker/networks.test.ts',
  'test/controllers/life.test.ts',
  'test/e2e/outages-storage.test.ts',
  'test/cli/main.test.ts',
  'test/controllers/scheduler.test.ts',
  'test/docker/heirloom.test.ts',
  'test/controllers/launch-failures.test.ts',
  'test/controllers/workspace.test.ts',
  'test/e2e/uninstall.test.ts',
  'test/platform/outages.test.ts',
  'test/controllers/org-ready.test.ts',
  'test/docker/contract.test.ts',
  'test/controllers/org-sources.test.ts',
  'test/controllers/org-hostile-sources.test.ts',
  'test/kube/api-server.test.ts',
  'test/docker/backend.test.ts',
  'test/controllers/org-import-policies.test.ts',
]

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const at = longest.indexOf(relative(this.ctx.config.root, moduleId))
      return at === -1 ? longest.length : at
    }
    return (await super.sort(files)).toSorted((one, other) => rank(one) - rank(other))
  }
}
