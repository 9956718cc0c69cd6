// Sets the remembered theme before the first paint. It runs alone, since modules come too late.
try {
  const theme = localStorage.getItem("apprentice.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // A browser that refuses storage keeps the system's theme.
}
