// Usage: node stylua.cjs [--write] LIBRARY STYLUA_TOML FILE...: formats each file as stylua does, and names those that differ.
const fs = require("fs");
const args = process.argv.slice(2);
const write = args[0] === "--write" && args.shift();
const [library, settings, ...files] = args;
const stylua = require(library);
const kinds = {
  syntax: "LuaVersion",
  indent_type: "IndentType",
  quote_style: "QuoteStyle",
  collapse_simple_statement: "CollapseSimpleStatement",
};
const chosen = [...fs.readFileSync(settings, "utf8").matchAll(/^(\w+) = "?(\w+)"?$/gm)];
function configuration() {
  const config = stylua.Config.new(); // formatCode keeps it, so each file needs one
  for (const [, name, value] of chosen) config[name] = name in kinds ? stylua[kinds[name]][value] : Number(value);
  return config;
}
const differ = files.filter((file) => {
  const before = fs.readFileSync(file, "utf8");
  const after = stylua.formatCode(before, configuration(), undefined, stylua.OutputVerification.None);
  if (write && after !== before) fs.writeFileSync(file, after);
  return after !== before;
});
if (differ.length) console.log(differ.join("\n"));
process.exit(differ.length && !write ? 1 : 0);
