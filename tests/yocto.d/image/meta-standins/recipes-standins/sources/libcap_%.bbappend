# 2.78 has it.
SRC_URI:remove = "file://CVE-2026-4878.patch"
