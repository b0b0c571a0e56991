/** undici's pool without the rest of undici, which would cost 13 MB of memory for what is never called. */
declare module 'undici/lib/dispatcher/pool.js' {
  import type { Pool } from 'undici'
  const PoolClass: typeof Pool
  export default PoolClass
}
