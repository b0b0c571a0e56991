import type { Duration } from '../duration.ts'
import type { Resolve } from '../outbound.ts'
import { readArchive } from './archive.ts'
import { fetchArtifact } from './artifact.ts'
import { fetchGit } from './git.ts'
import { Http, type Reach } from './http.ts'
import { Keeper, type Fetch, type KeeperOptions } from './keeper.ts'
import { sourceLimits, type SourceLimits } from './limits.ts'

export interface SourceOptions extends Pick<KeeperOptions, 'wake' | 'observe'> {
  readonly reach: Reach
  readonly resolve: Resolve
  readonly limits?: SourceLimits
}

/** The real sources. `run` until the operator ends. */
export function openSources({ reach, resolve, limits = sourceLimits, ...rest }: SourceOptions): Keeper {
  const http = new Http(reach, resolve)
  const fetch: Fetch = async (request, known, signal) => {
    switch (request.kind) {
      case 'git':
        return await fetchGit(request, known, http, limits, signal)
      case 'artifact':
        return await fetchArtifact(request, http, limits, signal)
      case 'archive': {
        const { bytes, revision, path } = request
        return { revision, ...(await readArchive(bytes(), path, limits, signal)) }
      }
    }
  }
  return new Keeper({ ...rest, fetch, time: limits.time satisfies Duration })
}
