declare module 'virtual:runbooks' {
  const page: import('./runbooks').Runbooks;
  export default page;
}
