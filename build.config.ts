/** `npm run build`: the operator in dist/, for the image. */
import { buildBundle } from './src/dev/bundle.ts'

await buildBundle()
