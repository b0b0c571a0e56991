/** The import rule around every room (docs/architecture.md): a room may import only what is named for it. */
const leaves =
  '^src/(errors|duration|fence|failpoint|host-pattern|outbound|look-ups|places|cron|text|why|redaction)\\.ts$'
const only = (name, from, ...to) => ({
  name,
  severity: 'error',
  from: { path: from, pathNot: '\\.test\\.ts$' },
  to: { path: '^src/', pathNot: [from, leaves, ...to] },
})
const within = (name, module, ...rooms) => ({
  name,
  severity: 'error',
  from: { path: '^src/', pathNot: rooms },
  to: { path: `^node_modules/${module}` },
})

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    only('api-imports-nothing', '^src/api/'),
    only('kube-never-heard-of-a-workspace', '^src/kube/', '^src/api/meta\\.ts$', '^src/telemetry/'),
    only('store-ports-are-types', '^src/store/[^/]+\\.ts$'),
    only('postgres-sees-ports', '^src/store/postgres/', '^src/store/[^/]+\\.ts$', '^src/telemetry/'),
    ...['docker', 'process', 'external', 'fake'].map((x) =>
      only(`backend-${x}-takes-specs`, `^src/backends/${x}/`, '^src/backends/[^/]+\\.ts$', '^src/telemetry/'),
    ),
    only('orgs-are-pure', '^src/orgs/', '^src/api/'),
    only('sources-know-no-resource', '^src/sources/', '^src/telemetry/'),
    only('platform-makes-rows', '^src/platform/', '^src/api/', '^src/store/[^/]+\\.ts$', '^src/telemetry/'),
    only(
      'sweepers-make-rows',
      '^src/sweepers/',
      '^src/backends/backend\\.ts$',
      '^src/api/',
      '^src/store/[^/]+\\.ts$',
      '^src/telemetry/',
    ),
    only('telemetry-is-a-leaf', '^src/telemetry/'),
    ...['workspace', 'org-import', 'runtime', 'plugin-install'].map((x) =>
      only(
        `controller-${x}-alone`,
        `^src/controllers/${x}/`,
        '^src/controllers/[^/]+\\.ts$',
        '^src/(api|kube|orgs|plugins|telemetry)/',
        '^src/backends/backend\\.ts$',
        '^src/store/[^/]+\\.ts$',
        '^src/sources/source\\.ts$',
      ),
    ),
    {
      name: 'deciding-is-pure',
      severity: 'error',
      from: {
        path: '(^src/orgs/|/(plan|describe|judge|resolve|runtime-choice|translate)\\.ts$)',
        pathNot: '\\.test\\.ts$',
      },
      to: { path: '^(node:)?(fs|net|http|https|child_process|timers|os|dns)(/|$)' },
    },
    within('client-node-only-in-kube', '@kubernetes/client-node', '^src/kube/'),
    within('dockerode-only-in-docker', '(dockerode|@types/dockerode)', '^src/backends/docker/', '^src/dev/'),
    within('archives-and-git-only-in-sources', '(isomorphic-git|tar-stream|semver)/', '^src/sources/'),
    within('opentelemetry-only-in-telemetry', '@opentelemetry', '^src/telemetry/'),
    within('sql-only-in-postgres', '(knex|pg)/', '^src/store/postgres/', '^src/dev/'),
    {
      name: 'shipped-code-needs-shipped-packages',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/dev/', '\\.test\\.ts$'] },
      to: { dependencyTypes: ['npm-dev'] },
    },
    {
      name: 'dev-is-for-dev',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/dev/' },
      to: { path: '^src/dev/' },
    },
  ],
  options: { tsPreCompilationDeps: true, parser: 'swc', doNotFollow: { path: 'node_modules' } },
}
