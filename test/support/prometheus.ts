/** A real Prometheus that scrapes an operator and judges the alerts of manifests/monitoring, sooner than they do. */
import { spawnSync } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { z } from 'zod'
import { freePort, ServerProcess } from '../../src/dev/server-process.ts'

export interface Prometheus {
  /** Names of the alerts that fire now, with the label that tells them apart. */
  firing(): Promise<readonly string[]>
  stop(): Promise<void>
}

interface Rules {
  readonly spec: { readonly groups: readonly { readonly rules: readonly object[] }[] }
}

/** Whether it is installed: Debian's package `prometheus` has it and promtool. */
export const hasPrometheus = (): boolean => spawnSync('prometheus', ['--version']).error === undefined

const answer = z.object({
  data: z.object({
    alerts: z.array(z.object({ state: z.string(), labels: z.record(z.string(), z.string()) })),
  }),
})

export async function startPrometheus(target: string): Promise<Prometheus> {
  const port = await freePort()
  const dir = join(tmpdir(), `molecule-test-prometheus-${String(port)}`)
  await mkdir(dir)
  const { spec } = parse(await readFile('manifests/monitoring/alerts.yaml', 'utf8')) as Rules
  // As they are shipped, but for how long it must be so.
  for (const rule of spec.groups.flatMap((group) => group.rules)) if ('for' in rule) Object.assign(rule, { for: '3s' })
  await writeFile(join(dir, 'rules.yaml'), stringify(spec))
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: ['rules.yaml'],
    scrape_configs: [{ job_name: 'operator', static_configs: [{ targets: [target] }] }],
  }
  await writeFile(join(dir, 'prometheus.yaml'), stringify(config))
  const base = `http://127.0.0.1:${String(port)}`
  const server = new ServerProcess({
    name: 'Prometheus',
    command: 'prometheus',
    dir,
    args: [
      `--config.file=${join(dir, 'prometheus.yaml')}`,
      `--storage.tsdb.path=${join(dir, 'data')}`,
      `--web.listen-address=127.0.0.1:${String(port)}`,
    ],
    ready: async (signal) => (await fetch(`${base}/-/ready`, { signal })).ok,
  })
  await server.start()
  return {
    async firing() {
      const { data } = answer.parse(await (await fetch(`${base}/api/v1/alerts`)).json())
      return data.alerts
        .filter(({ state }) => state === 'firing')
        .map(({ labels }) => labels['alertname'] ?? '')
        .toSorted()
    },
    async stop() {
      await server.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}
