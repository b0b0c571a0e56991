import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { invitation } from './invitation.ts'

const running = {
  cluster: { kubeconfig: '/demo/kubeconfig', kubectlPath: '/cache/bin/kubectl' },
  namespace: 'demo',
  org: 'gazette',
  victim: { displayName: 'Archivist', instanceId: '0123456789abcdef' },
  log: '/demo/operator.log',
  metricsUrl: 'http://127.0.0.1:1/metrics',
}

test('a machine without kubectl is told where one is', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'molecule-path-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const told = '  export PATH="$PATH:/cache/bin"\n  export KUBECONFIG=/demo/kubeconfig\n'
  expect(await invitation(running, dir)).toContain(told)
  writeFileSync(join(dir, 'kubectl'), '')
  chmodSync(join(dir, 'kubectl'), 0o755)
  expect(await invitation(running, dir)).not.toContain('export PATH')
  // The user's own, of a demo in a cluster of theirs.
  expect(
    await invitation({ ...running, cluster: { kubeconfig: '/k', kubectlPath: 'kubectl' } }, '/none'),
  ).not.toContain('export PATH')
})

test('an agent is killed by what its backend calls it', async () => {
  expect(await invitation(running)).toMatch(/Now kill Archivist, .*\n\n {2}docker kill 0123456789ab\n/)
  const victim = { displayName: 'Archivist', instanceId: 'pid-4711-5c1f' }
  expect(await invitation({ ...running, victim })).toContain('\n  kill -9 4711\n')
  expect(await invitation({ ...running, victim: undefined })).not.toContain('kill')
})
