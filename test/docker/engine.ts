import Dockerode from 'dockerode'

/** The engine that the tests use: DOCKER_HOST or the usual socket. */
export const host = process.env['DOCKER_HOST'] ?? 'unix:///var/run/docker.sock'
export const docker = host.startsWith('unix://')
  ? new Dockerode({ socketPath: host.slice('unix://'.length) })
  : new Dockerode()

/** Whether an engine answers. When none does, what needs one is skipped, and that is said aloud. */
export const engineAnswers: boolean = await docker.ping().then(
  () => true,
  () => {
    console.error(`\n*** NO DOCKER ENGINE at ${host}: every test that needs one is SKIPPED ***\n`)
    return false
  },
)
