# The packages as hosts get them: made, installed from a folder into an empty project, the README's example built and run there. Sourced by .ci/run.

packages() {
  local feed=$PWD/artifacts/packages home=$PWD/artifacts/installed
  have unzip unzip || { skip "packages" "no unzip"; return; }
  rm -rf "$feed" "$home"
  mkdir -p "$feed" "$home"
  check "pack" pack "$feed"
  check "packages have README, licence and symbols" complete "$feed"
  check "the README's example in an empty project" installed_example "$feed" "$home"
  check "the tools install and run" installed_tools "$feed" "$home"
}

# pack FOLDER: what hosts install; the other projects are ours alone
pack() {
  local project
  for project in kernels/Glip.Kernels src/Glip.Managed src/Glip.Managed.Imaging src/Glip.Cli weights-tools/Glip.WeightsTools; do
    dotnet pack "$project" -c Release -o "$1" -p:ContinuousIntegrationBuild=true --artifacts-path artifacts/pack || return
  done
}

# complete FOLDER: each of the packages, with what belongs into it
complete() {
  local name package
  for name in Glip.Kernels Glip.Managed Glip.Managed.Imaging glip glip-weights; do
    package=$(echo "$1/$name".[0-9]*.nupkg)
    ls "${package%.nupkg}.snupkg" >/dev/null || return
    for file in README.md LICENSE THIRD-PARTY-NOTICES.md; do
      unzip -l "$package" | grep " $file$" >/dev/null || { echo "$package lacks $file"; return 1; }
    done
    unzip -p "$package" '*.nuspec' | grep "<license type=.expression.>MIT</license>" >/dev/null || { echo "$package names no licence"; return 1; }
  done
}

# Installed from the folder and, for what is not ours, from the user's sources; into a cache of their own, because packages under test must never meet the user's.
nuget_from() {
  cat >"$2/nuget.config" <<CONFIG
<configuration>
  <packageSources><add key="here" value="$1" /></packageSources>
</configuration>
CONFIG
}

installed_example() {
  local feed=$1 folder=$2/example version cache
  version=$(basename "$feed"/Glip.Managed.[0-9]*.nupkg .nupkg)
  version=${version#Glip.Managed.}
  cache=$2/cache
  mkdir -p "$folder"
  # Stops the search for the repository's own settings.
  echo '<Project />' | tee "$folder/Directory.Build.props" "$folder/Directory.Packages.props" >/dev/null
  nuget_from "$feed" "$folder"
  sed -n '/^```csharp$/,/^```$/p' README.md | sed '1d;$d' >"$folder/Program.cs"
  cat >"$folder/Example.csproj" <<PROJECT
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <TargetFramework>net10.0</TargetFramework>
    <ImplicitUsings>enable</ImplicitUsings>
    <Nullable>enable</Nullable>
    <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
  </PropertyGroup>
  <ItemGroup>
    <PackageReference Include="Glip.Managed" Version="$version" />
    <PackageReference Include="Glip.Managed.Imaging" Version="$version" />
  </ItemGroup>
</Project>
PROJECT
  NUGET_PACKAGES=$cache dotnet build -c Release "$folder" -o "$folder/out" >"$folder/build.log" 2>&1 || { cat "$folder/build.log"; return 1; }
  local found
  found=$(dotnet "$folder/out/Example.dll") || return
  echo "$found"
  [ "$(grep -c "^pizza 0" <<<"$found")" -eq 2 ] && grep -q "^sunflower 0" <<<"$found" && grep -q "^sailboat 0" <<<"$found"
}

installed_tools() {
  local folder=$2/tools
  mkdir -p "$folder"
  nuget_from "$1" "$folder"
  for tool in glip glip-weights; do
    (cd "$folder" && NUGET_PACKAGES=$2/cache dotnet tool install "$tool" --tool-path "$folder" --prerelease >/dev/null) || return
  done
  "$folder/glip" detect samples/scene5.png "sailboat" --output "$folder/scene5.png" | grep sailboat &&
    "$folder/glip-weights" inspect models/glip-nano.safetensors >/dev/null
}
