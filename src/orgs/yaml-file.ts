/** One file of YAML: its tree of nodes, and where in it an offset is. */
import { Composer, Lexer, LineCounter, Parser, type Document, type Node } from 'yaml'
import { limits } from './limits.ts'
import { OrgError, type OrgErrorCode } from './org-error.ts'
import { flawOf, longLine } from './source-text.ts'

export interface YamlFile {
  readonly path: string
  readonly lines: LineCounter
  readonly contents: Node | null
  /** There is more than the one document that is read. */
  readonly more: boolean
}

/** What is left of the limits that all files of a template share. */
export interface Budget {
  tokens: number
}

/** Throws an OrgError. `includedFrom` is part of what it says. */
export function readYaml(path: string, text: string, includedFrom: readonly string[], budget: Budget): YamlFile {
  const refuse = (code: OrgErrorCode, message: string, line: number, column: number): never => {
    throw new OrgError(code, message, { file: path, line, column, includedFrom })
  }
  const flaw = flawOf(text, 'yaml')
  if (flaw !== undefined) {
    const before = text.slice(0, flaw.offset).split('\n')
    refuse('SyntaxError', flaw.what, before.length, (before.at(-1)?.length ?? 0) + 1)
  }
  const long = longLine(text, limits.line)
  if (long !== undefined) refuse('TooLarge', `a line of more than ${limits.line} characters`, long, 1)
  const lines = new LineCounter()
  const { document, more, fault } = compose(text, lines, budget)
  if (fault !== undefined) {
    const { line, col } = lines.linePos(fault.offset)
    // The parser recurses, and takes it for a mistake of the text when its stack is exhausted.
    if (fault.message.includes('call stack')) refuse('TooLarge', 'nested too deeply to be read', line, col)
    refuse('SyntaxError', fault.message, line, col)
  }
  if (budget.tokens < 0)
    refuse('TooLarge', `the template has more than ${limits.tokens} words and signs`, lines.lineStarts.length, 1)
  return { path, lines, contents: document?.contents ?? null, more }
}

interface Composed {
  readonly document?: Document.Parsed | undefined
  readonly more: boolean
  readonly fault?: { readonly message: string; readonly offset: number } | undefined
}

/**
 * As the library's own parseDocument, but that it stops: at the end of the first document and of the budget, and at the
 * first fault, for the library keeps an error for each. Keys are checked for uniqueness elsewhere and not by the parser,
 * which compares each with each.
 */
function compose(text: string, lines: LineCounter, budget: Budget): Composed {
  const composer = new Composer({ uniqueKeys: false })
  const parser = new Parser(lines.addNewLine)
  const tokens = function* () {
    lines.addNewLine(0)
    for (const word of new Lexer().lex(text)) {
      if (--budget.tokens < 0) return
      yield* parser.next(word)
    }
    yield* parser.end()
  }
  const documents: Document.Parsed[] = []
  for (const token of tokens()) {
    if (token.type === 'error') return { more: false, fault: token }
    documents.push(...composer.next(token))
    if (documents.length > 0) break
  }
  if (budget.tokens < 0) return { more: false }
  const more = documents.length > 0
  documents.push(...composer.end(false, text.length))
  const [document] = documents
  const first = document?.errors[0]
  return { document, more, fault: first && { message: first.message, offset: first.pos[0] } }
}
