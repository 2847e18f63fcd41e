// Nothing here may ask another host, and no key is kept: a reload forgets it.
Scalar.createApiReference("#reference", {
  sources: SOURCES,
  agent: { disabled: true },
  hideClientButton: true,
  hideModels: true,
  mcp: { disabled: true },
  persistAuth: false,
  showDeveloperTools: "never",
  telemetry: false,
  withDefaultFonts: false,
  defaultHttpClient: { targetKey: "shell", clientKey: "curl" },
});
