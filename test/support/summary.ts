/** The end of every run: why anything was skipped, and the one line that counts. */
import type { Reporter, TestModule } from 'vitest/node'
import { dockerAvailable } from './docker.ts'

export default class Summary implements Reporter {
  async onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): Promise<void> {
    const tests = modules.flatMap((module) => [...module.children.allTests()])
    const inState = (state: string) => tests.filter((test) => test.result().state === state)
    const skipped = inState('skipped')
    // A file that could not be loaded has no tests to fail.
    const broken = modules.filter(
      (module) => module.state() === 'failed' && [...module.children.allTests('failed')].length === 0,
    )
    if (skipped.length > 0) {
      const why = (await dockerAvailable()) ? '' : ' NO DOCKER ENGINE ANSWERS: everything that needs one was skipped.'
      console.log(`\n  ${String(skipped.length)} tests were skipped.${why}`)
      for (const file of new Set(skipped.map((test) => test.module.relativeModuleId))) console.log(`    ${file}`)
    }
    const failed = inState('failed').length + broken.length + errors.length
    console.log(
      `\n${String(inState('passed').length)} passed, ${String(failed)} failed, ${String(skipped.length)} skipped`,
    )
  }
}
