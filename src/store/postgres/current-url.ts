/**
 * By which URL new connections are made. Where a file holds it, the file is read for each of them, as often as that is: a
 * password that was replaced in a mounted Secret then holds without a restart, and so does another user or address.
 */
import { reasonOf } from '../../errors.ts'
import { News, type Logger } from '../../telemetry/log.ts'

export interface CurrentUrlOptions {
  /** What it was at the start. */
  readonly first: string
  /** Throws where what is there now is no URL that can be used. */
  readonly read: () => string
  readonly log: Logger
  /** It is another one than before: connections of before may be of a user that is about to go. */
  readonly onChange: () => void
}

/** Never throws: while the file cannot be used, as in the middle of being written, what it held before is. */
export function currentUrl({ first, read, log, onChange }: CurrentUrlOptions): () => string {
  const news = new News()
  let last = first
  return () => {
    try {
      const now = read()
      news.end()
      if (now === last) return last
      last = now
      log.info('url of the database has changed: connections are made anew by it')
      onChange()
    } catch (error) {
      const cause = reasonOf(error)
      if (news.is(cause)) log.warn({ cause }, 'url of the database cannot be read: the one of before is used')
    }
    return last
  }
}
